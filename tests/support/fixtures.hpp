#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace kiseki::test {

/// The folder of shared fixtures (volumes other programs made): environment KISEKI_SHARED, or `shared` beside the
/// repository. Nothing when it is not there: such tests skip.
inline std::optional<std::filesystem::path> shared_folder() {
  std::filesystem::path folder;
  if (const char* named = std::getenv("KISEKI_SHARED")) {
    folder = named;
  } else {
    auto here = std::filesystem::path(__FILE__).parent_path();  // tests/support
    folder = here.parent_path().parent_path().parent_path() / "shared";
  }
  if (!std::filesystem::is_directory(folder / "fixtures")) return std::nullopt;
  return folder;
}

}  // namespace kiseki::test
