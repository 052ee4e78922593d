#pragma once

#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

#include "core/async.hpp"

namespace kiseki::object {

/// Room for objects in the form they are stored in: a fixed number of equal slots, reserved as addresses at once and
/// resident as they are used. Who wants one waits in order; who holds one waits for no other memory, so the waits end.
/// Any thread.
class CodecMemory {
 public:
  CodecMemory(std::size_t slot_bytes, std::size_t slots);  ///< throws std::system_error
  ~CodecMemory();                                          ///< every slot must be back
  CodecMemory(const CodecMemory&) = delete;

  class Slot {
   public:
    Slot(CodecMemory& memory, std::byte* data, Semaphore::Permit permit)
        : memory_(&memory), data_(data), permit_(std::move(permit)) {}
    Slot(Slot&& other) noexcept
        : memory_(other.memory_), data_(std::exchange(other.data_, nullptr)), permit_(std::move(other.permit_)) {}
    ~Slot() {
      if (data_) memory_->give_back(data_);
    }
    std::span<std::byte> bytes() const { return {data_, memory_->slot_bytes_}; }

   private:
    CodecMemory* memory_;
    std::byte* data_;
    Semaphore::Permit permit_;  // last: the slot is back before the next one may take it
  };
  asio::awaitable<Slot> take();  ///< throws operation_aborted when cancelled

  std::size_t slots() const { return slots_; }
  std::size_t total_bytes() const { return slot_bytes_ * slots_; }

 private:
  void give_back(std::byte* data) noexcept;

  std::size_t slot_bytes_, slots_;
  std::byte* base_;
  Semaphore permits_;
  std::mutex mutex_;              // guards free_
  std::vector<std::byte*> free_;  // the last is the warmest
};

}  // namespace kiseki::object
