#include "fuse/negotiate.hpp"

#include <algorithm>

namespace kiseki::fuse {
namespace {

constexpr std::uint32_t kPageBytes = 4096;

std::uint64_t wanted_flags(const SessionOptions& options) {
  std::uint64_t out = FUSE_INIT_EXT | FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_DIO |
                      FUSE_PARALLEL_DIROPS | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ATOMIC_O_TRUNC |
                      FUSE_AUTO_INVAL_DATA | FUSE_EXPORT_SUPPORT | FUSE_ABORT_ERROR | FUSE_HAS_EXPIRE_ONLY |
                      abi::kDirectIoAllowMmap;
  // We clear suid and sgid ourselves; without this every write(2) first asks for security.capability.
  out |= FUSE_HANDLE_KILLPRIV_V2;
  if (options.xattr || options.acl) out |= FUSE_SETXATTR_EXT;
  if (options.cache_symlinks) out |= FUSE_CACHE_SYMLINKS;
  if (options.acl) out |= FUSE_POSIX_ACL | FUSE_DONT_MASK;
  if (options.ioctl) out |= FUSE_HAS_IOCTL_DIR;
  if (options.locks) out |= FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;
  if (options.writeback_cache) out |= FUSE_WRITEBACK_CACHE;
  return out;
}

}  // namespace

Result<Negotiated> negotiate(const Init& offer, const SessionOptions& options) {
  Negotiated out;
  out.out.major = abi::kMajor;
  out.out.minor = abi::kMinor;
  if (offer.major > abi::kMajor) return out;
  if (offer.major < abi::kMajor || offer.minor < abi::kOldestMinor) return posix(EPROTO);

  auto flags = wanted_flags(options) & offer.flags;
  auto max_write = std::clamp(options.max_write / kPageBytes * kPageBytes, kPageBytes, 1u << 20);
  if (!(flags & FUSE_MAX_PAGES)) max_write = std::min(max_write, 32 * kPageBytes);
  out.settings = {std::min(offer.minor, abi::kMinor), max_write, flags};

  out.out.max_readahead = std::min(offer.max_readahead, options.max_readahead);
  out.out.flags = static_cast<std::uint32_t>(flags);
  out.out.flags2 = static_cast<std::uint32_t>(flags >> 32);
  out.out.max_background = options.max_background;
  out.out.congestion_threshold = static_cast<std::uint16_t>(options.max_background * 3 / 4);
  out.out.max_write = max_write;
  out.out.max_pages = static_cast<std::uint16_t>(max_write / kPageBytes);
  out.out.time_gran = 1;
  return out;
}

}  // namespace kiseki::fuse
