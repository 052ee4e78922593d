#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/ids.hpp"
#include "core/result.hpp"

namespace kiseki::meta {
class Client;
}

/// The messages of .control (JuiceFS 1.4, tools.md section 3.4). Request: op u32, body length u32, body; the reply ends
/// with one status byte or one piece of JSON.
namespace kiseki::vfs {

enum class ControlOp : std::uint32_t { info = 1005 };
inline constexpr std::size_t kMaxControlRequest = 1u << 20;  ///< bytes; a longer one is refused (EFBIG)

inline constexpr std::size_t kMostControlBytes =
    64u << 20;  ///< of requests and replies of all who have .control open; beyond, who asks is refused (ENOBUFS)

bool control_complete(std::string_view request);  ///< head and body are there (or more than that)
std::string control_status(int error);            ///< one byte
std::string control_data(std::string_view json);  ///< 0xFF, length u32, text

struct InfoRequest {
  Ino ino;
  bool recursive = true, raw = false, strict = false;
};
/// What `info` shows of an inode: paths, sums, objects or slices, locks. A missing inode is an answer too (Failed).
Async<std::string> info_json(meta::Client& client, InfoRequest request);

}  // namespace kiseki::vfs
