#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "histogram.hpp"

namespace s3bench {

struct Load {
  std::string endpoint;  ///< http[s]://HOST:PORT/BUCKET
  std::string access_key = "TESTKEY", secret_key = "TESTSECRET", region = "us-east-1";
  bool get = true;  ///< else put
  std::size_t size = 4u << 20;
  unsigned at_once = 8;
  unsigned objects = 64;  ///< read or overwritten in turn
  unsigned loops = 0;     ///< of the store; 0: one per CPU
  double seconds = 5;
};

struct Outcome {
  std::uint64_t requests = 0, failures = 0;
  double seconds = 0;      ///< of wall time, without the preparation
  double cpu_seconds = 0;  ///< of this process in that time
  std::string error;       ///< of the last failure
  loadgen::Histogram latency;
};

/// This process's processor time so far.
double cpu_seconds();

/// Our store with everything a mount puts around it. Makes the objects first when they are to be read.
Outcome run_store(const Load& load);

/// What plain blocking sockets do, a thread and a connection each, every request signed once beforehand. Objects are
/// those `run_store` makes. Only http.
Outcome run_raw(const Load& load);

/// The key of object `number` of this size: a block's.
std::string short_key_of(const Load& load, std::uint64_t number);

/// Where it lies in the bucket, below the prefix that the store puts before every key.
std::string key_of(const Load& load, std::uint64_t number);

}  // namespace s3bench
