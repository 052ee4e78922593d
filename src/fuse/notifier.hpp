#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "fuse/abi.hpp"
#include "fuse/negotiate.hpp"
#include "fuse/unique_fd.hpp"
#include "vfs/filesystem.hpp"

namespace kiseki::fuse {

/// Tells the kernel what to drop from its caches, from a thread of its own: such a message waits inside the kernel for
/// requests in flight on the same file, so it must never be sent by a thread that answers them. Thread-safe.
class Notifier final : public vfs::KernelCache {
 public:
  static constexpr std::size_t kMostWaiting =
      65536;  ///< then names are dropped all at once, and data is given up with a warning

  Notifier(UniqueFd device, Settings settings);
  ~Notifier() override;
  void close();  ///< drops what waits and what still comes, lets go of the device. Waits for the message being sent
  void forget_entry(Ino parent, std::string name) override;
  void forget_data(Ino ino, std::uint64_t offset, std::uint64_t length) override;
  void forget_attr(Ino ino) override;  ///< sent at once: the kernel waits for nothing to do this
  bool gathers_writes() const override { return (settings_.flags & FUSE_WRITEBACK_CACHE) != 0; }
  bool maps_direct_files() const override { return (settings_.flags & abi::kDirectIoAllowMmap) != 0; }

 private:
  struct Note {
    Ino ino;           // the directory, or the file
    std::string name;  // empty: data
    std::uint64_t offset = 0, length = 0;
  };
  void push(Note note);
  void run();
  int send(const Note& note);
  int send_epoch();
  int write(std::int32_t code, std::span<const iovec> body);  ///< 0 or an errno

  UniqueFd device_;
  Settings settings_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Note> waiting_;
  bool all_names_ = false, overflowed_ = false, stopping_ = false, gone_ = false;
  std::thread thread_;
};

}  // namespace kiseki::fuse
