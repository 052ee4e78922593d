#pragma once

#include <chrono>
#include <cstddef>

#include "bucket.hpp"
#include "wire.hpp"

namespace nulls3 {

struct Behaviour {
  bool discard = false;                ///< bodies of PUT are not kept; GET gives a pattern of the same length
  std::chrono::microseconds delay{0};  ///< before every answer
  std::size_t most_bytes = 0;          ///< of all objects together; beyond, PUT is refused
};

/// Answers requests on one connection until it ends. Signatures are not looked at.
void serve(Wire& wire, Objects& objects, const Behaviour& behaviour);

}  // namespace nulls3
