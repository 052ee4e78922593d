#include "cli/text_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace kiseki::cli {
namespace {

using Row = std::vector<std::string>;

std::vector<std::size_t> widths_of(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  return widths;
}

std::string cell(const std::string& text, std::size_t width, bool header, bool left) {
  auto blank = width - text.size();
  if (header) return std::string(blank - blank / 2, ' ') + text + std::string(blank / 2, ' ');
  return left ? text + std::string(blank, ' ') : std::string(blank, ' ') + text;
}

}  // namespace

std::string text_table(const std::vector<Row>& rows, const std::vector<std::size_t>& left) {
  auto widths = widths_of(rows);
  std::string rule = "+";
  for (auto width : widths) rule += std::string(width + 2, '-') + "+";
  std::string out = rule + "\n";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    out += "|";
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      bool to_left = std::find(left.begin(), left.end(), i) != left.end();
      out += " " + cell(rows[r][i], widths[i], r == 0, to_left) + " |";
    }
    out += "\n";
    if (r == 0) out += rule + "\n";
  }
  return out + rule + "\n";
}

std::string size_text(unsigned long long bytes) {
  if (bytes < 1024) return fmt::format("{} Bytes", bytes);
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return fmt::format("{:.2f} {} ({} Bytes)", value, units[unit], bytes);
}

}  // namespace kiseki::cli
