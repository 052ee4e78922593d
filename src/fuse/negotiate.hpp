#pragma once

#include <chrono>
#include <cstdint>

#include "core/result.hpp"
#include "fuse/decode.hpp"

namespace kiseki::fuse {

/// How a session treats its kernel.
struct SessionOptions {
  std::uint32_t max_write = 1u << 20;      ///< bytes of one WRITE or READ; a multiple of 4096, 4 KiB .. 1 MiB
  std::uint32_t max_readahead = 1u << 20;  ///< bytes the kernel may read ahead (capped by the bdi, see mount.hpp)
  std::uint16_t max_background = 128;      ///< read-ahead and async requests in flight; congestion at 3/4
  bool acl = false;                        ///< POSIX ACLs are checked by the kernel; umask is then left to us
  bool xattr = true;
  bool ioctl = true;
  bool cache_symlinks = true;    ///< targets too are cached by the kernel; then nobody sees who reads them
  bool locks = true;             ///< fcntl and flock locks come to us; false: the kernel keeps them, per mount
  bool writeback_cache = false;  ///< the kernel gathers small writes; it then believes its own size and mtime
  unsigned write_buffers = 8;    ///< buffers for WRITEs that each loop keeps; more are mapped while those wait
  /// Bytes of WRITEs in hand per loop. Beyond them the loop reads nothing, not even what would be answered at once: it
  /// should be room for as many writers as may wait for memory.
  std::size_t write_bytes = 32u << 20;
  unsigned requests = 2048;  ///< unanswered requests per loop; more wait in the kernel
  /// A signal ends a wait for a lock at once. Anything else usually ends by itself soon, and no local file system
  /// answers EINTR to open or stat: it is cancelled only when it still runs after one to two times this.
  std::chrono::milliseconds interrupt_patience{3000};
};

/// What the kernel and we agreed on; a session that takes over an initialised descriptor starts with this.
struct Settings {
  std::uint32_t minor = 0, max_write = 0;
  std::uint64_t flags = 0;  ///< as answered
  Dialect dialect() const { return {(flags & FUSE_SETXATTR_EXT) != 0}; }
};

struct Negotiated {
  Settings settings;
  abi::InitOut out{};
};

/// Answers INIT. Errors: EPROTO for a kernel older than Linux 5.4. A kernel that speaks a newer major version gets ours
/// and asks again: then `settings.minor` is 0.
Result<Negotiated> negotiate(const Init& offer, const SessionOptions& options);

}  // namespace kiseki::fuse
