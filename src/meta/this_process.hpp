#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kiseki::meta {

/// Names a process of this machine for good, over reuse of its number: boot, namespace of process numbers, start. Empty
/// when /proc does not tell.
std::string process_mark(std::int64_t pid);

/// Whether `mark` names a process of this machine and namespace that has ended: then nothing of it comes back. False
/// for all other machines' processes, of which nothing can be said.
bool has_ended(std::string_view mark, std::int64_t pid);

}  // namespace kiseki::meta
