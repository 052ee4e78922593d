#pragma once

#include <string>
#include <vector>

namespace kiseki::cli {

/// A table in JuiceFS's shape: rules of +---+, headers centred, cells to the right but for the columns in `left`.
std::string text_table(const std::vector<std::vector<std::string>>& rows_with_header,
                       const std::vector<std::size_t>& left = {});

/// "5 Bytes", "4.00 KiB (4096 Bytes)".
std::string size_text(unsigned long long bytes);

}  // namespace kiseki::cli
