#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

/// What every null server here serves: `big0..9` of 64 GiB, `s*` of 4 KiB, a directory `dir10k` with `e00000..e09999`,
/// and whatever is created, empty. Inode numbers say which is which.
namespace nullfiles {

inline constexpr std::uint64_t kRoot = 1, kListed = 5, kBig = 10, kSmall = 100'000, kEntries = 200'000;
inline constexpr std::uint64_t kListedCount = 10'000, kFirstCreated = std::uint64_t{1} << 32;

inline bool is_dir(std::uint64_t ino) { return ino == kRoot || ino == kListed; }

inline std::uint64_t size_of(std::uint64_t ino) {
  if (ino < kSmall) return std::uint64_t{64} << 30;
  return ino < kFirstCreated ? 4096 : 0;
}

/// 0: no such file by decree.
inline std::uint64_t by_name(std::uint64_t parent, std::string_view name) {
  auto number = [&](std::size_t skip) { return std::strtoull(std::string(name.substr(skip)).c_str(), nullptr, 10); };
  if (parent == kListed) return name.front() == 'e' ? kEntries + number(1) : 0;
  if (name.starts_with("big")) return kBig + number(3) % 10;
  if (name == "dir10k") return kListed;
  return name.front() == 's' ? kSmall + number(1) % 100'000 : 0;
}

}  // namespace nullfiles
