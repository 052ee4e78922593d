#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>

/// The kernel's tongue: <linux/fuse.h> as Debian 12 ships it (FUSE 7.38) and what came later (up to 7.45, Linux 6.18),
/// declared here. Source of every number below: include/uapi/linux/fuse.h of the kernel.
namespace kiseki::fuse::abi {

inline constexpr std::uint32_t kMajor = 7;
inline constexpr std::uint32_t kMinor = 45;
/// Older kernels lack what we rely on (MAX_PAGES, COPY_FILE_RANGE, ...): Linux 5.4.
inline constexpr std::uint32_t kOldestMinor = 31;

// Opcodes after 7.38.
inline constexpr std::uint32_t kStatx = 52;            // 7.39
inline constexpr std::uint32_t kCopyFileRange64 = 53;  // 7.45

// INIT flags after 7.38; bits 32..63 travel in flags2.
inline constexpr std::uint64_t kCreateSuppGroup = 1ull << 34;    // 7.38 of Linux 6.3
inline constexpr std::uint64_t kDirectIoAllowMmap = 1ull << 36;  // 7.39
inline constexpr std::uint64_t kPassthrough = 1ull << 37;        // 7.40
inline constexpr std::uint64_t kNoExportSupport = 1ull << 38;    // 7.40
inline constexpr std::uint64_t kAllowIdmap = 1ull << 40;         // 7.41
inline constexpr std::uint64_t kOverIoUring = 1ull << 41;        // 7.42
inline constexpr std::uint64_t kRequestTimeout = 1ull << 42;     // 7.43

inline constexpr std::uint32_t kFopenPassthrough = 1u << 7;  // 7.40

// Notifications after 7.38.
inline constexpr std::int32_t kNotifyResend = 7;    // 7.40
inline constexpr std::int32_t kNotifyIncEpoch = 8;  // 7.44: every cached name is to be looked up again

/// Set in fuse_in_header::unique of an INTERRUPT request.
inline constexpr std::uint64_t kInterruptBit = 1;

struct InitOut {  ///< as of 7.43; shorter ones are a prefix
  std::uint32_t major, minor, max_readahead, flags;
  std::uint16_t max_background, congestion_threshold;
  std::uint32_t max_write, time_gran;
  std::uint16_t max_pages, map_alignment;
  std::uint32_t flags2, max_stack_depth;
  std::uint16_t request_timeout, unused[11];
};

struct CopyFileRangeOut {  ///< 7.45
  std::uint64_t bytes_copied;
};

static_assert(sizeof(fuse_in_header) == 40 && offsetof(fuse_in_header, total_extlen) == 36);
static_assert(sizeof(fuse_out_header) == 16);
static_assert(sizeof(fuse_attr) == 88 && sizeof(fuse_entry_out) == 128 && sizeof(fuse_attr_out) == 104);
static_assert(sizeof(fuse_open_out) == 16 && sizeof(fuse_write_in) == 40 && sizeof(fuse_read_in) == 40);
static_assert(sizeof(fuse_setattr_in) == 88 && sizeof(fuse_lk_in) == 48 && sizeof(fuse_kstatfs) == 80);
static_assert(sizeof(fuse_init_in) == 64 && sizeof(InitOut) == 64 && offsetof(InitOut, flags2) == 32);
static_assert(sizeof(fuse_init_out) == sizeof(InitOut));
static_assert(sizeof(fuse_dirent) == 24 && sizeof(fuse_direntplus) == 152);
static_assert(sizeof(fuse_ioctl_in) == 32 && sizeof(fuse_ioctl_out) == 16);
static_assert(sizeof(fuse_setxattr_in) == 16 && sizeof(fuse_copy_file_range_in) == 56);

}  // namespace kiseki::fuse::abi
