#pragma once

#include <string>
#include <string_view>

namespace kiseki {

/// `text` as one word of a shell's command line, for a person to copy: as it is where a shell leaves it so, else
/// quoted.
std::string shell_word(std::string_view text);

}  // namespace kiseki
