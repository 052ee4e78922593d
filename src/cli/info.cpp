#include <fmt/format.h>
#include <sys/stat.h>

#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>

#include "cli/control_client.hpp"
#include "cli/settings.hpp"
#include "cli/text_table.hpp"
#include "core/log.hpp"
#include "core/numbers.hpp"

namespace kiseki::cli {
namespace {

namespace json = boost::json;
using Rows = std::vector<std::vector<std::string>>;

std::string word(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

std::uint64_t number(const json::object& object, const char* key) {
  const auto* found = object.if_contains(key);
  return found && found->is_number() ? found->to_number<std::uint64_t>() : 0;
}

const json::array* list(const json::object& info, const char* key) {
  const auto* found = info.if_contains(key);
  return found ? found->if_array() : nullptr;
}

/// A table of a list's members, in the order of `columns` {header, member}.
Rows rows_of(const json::array& items, std::initializer_list<std::pair<const char*, const char*>> columns) {
  Rows rows(1);
  for (auto [header, key] : columns) rows[0].emplace_back(header);
  for (const auto& item : items) {
    auto& row = rows.emplace_back();
    for (auto [header, key] : columns) {
      const auto* cell = item.get_object().if_contains(key);
      row.push_back(cell ? word(*cell) : "");
    }
  }
  return rows;
}

void print_paths(const json::object& info) {
  const auto* paths = list(info, "Paths");
  if (!paths || paths->empty()) {
    fmt::print("   path: unknown\n");
  } else if (paths->size() == 1) {
    fmt::print("   path: {}\n", word((*paths)[0]));
  } else {
    fmt::print("  paths:\n");
    for (const auto& path : *paths) fmt::print("\t{}\n", word(path));
  }
}

void print_tier(const json::object& info) {
  const auto* tier = info.if_contains("Tier") ? info.at("Tier").if_object() : nullptr;
  std::string storage_class = tier && tier->if_contains("StorageClass") ? word(tier->at("StorageClass")) : "";
  std::string tag = tier && tier->if_contains("Tag") ? word(tier->at("Tag")) : "";
  fmt::print("   tier: {}->{} {}\n", tier ? number(*tier, "ID") : 0, storage_class, tag.empty() ? "" : "tag: " + tag);
}

/// Where each object's bytes stand in its chunk: objects of a chunk follow each other.
void add_positions(Rows& rows, const json::array& objects) {
  rows[0].emplace_back("pos");
  std::uint64_t chunk = 0, pos = 0;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const auto& object = objects[i].get_object();
    if (auto index = number(object, "ChunkIndex"); index != chunk) chunk = index, pos = 0;
    rows[i + 1].push_back(std::to_string(pos));
    pos += number(object, "Len");
  }
}

void print_data(const json::object& info) {
  if (const auto* chunks = list(info, "Chunks"); chunks && !chunks->empty()) {
    auto rows = rows_of(
        *chunks,
        {{"chunkIndex", "ChunkIndex"}, {"sliceId", "Id"}, {"size", "Size"}, {"offset", "Off"}, {"length", "Len"}});
    fmt::print(" chunks:\n{}", text_table(rows));
  }
  if (const auto* objects = list(info, "Objects"); objects && !objects->empty()) {
    auto rows = rows_of(
        *objects,
        {{"chunkIndex", "ChunkIndex"}, {"objectName", "Key"}, {"size", "Size"}, {"offset", "Off"}, {"length", "Len"}});
    add_positions(rows, *objects);
    fmt::print(" objects:\n{}", text_table(rows, {1}));
  }
}

void print_locks(const json::object& info) {
  if (const auto* locks = list(info, "FLocks"); locks && !locks->empty()) {
    fmt::print(" flocks:\n{}", text_table(rows_of(*locks, {{"Sid", "Sid"}, {"Owner", "Owner"}, {"Type", "Type"}})));
  }
  if (const auto* locks = list(info, "PLocks"); locks && !locks->empty()) {
    fmt::print(" plocks:\n{}", text_table(rows_of(*locks, {{"Sid", "Sid"},
                                                           {"Owner", "Owner"},
                                                           {"Type", "Type"},
                                                           {"Pid", "Pid"},
                                                           {"Start", "Start"},
                                                           {"End", "End"}})));
  }
}

Try<void> print_info(const std::string& shown, const std::string& dir, InfoQuery query) {
  auto text = ask_info(dir, query);
  if (!text) return text.error();
  boost::system::error_code ec;
  auto parsed = json::parse(*text, ec);
  if (ec || !parsed.is_object()) return Failure{Exit::failed, "the mount's answer is not JSON"};
  const auto& info = parsed.get_object();
  if (const auto* failed = info.if_contains("Failed"); failed && failed->is_bool() && failed->get_bool()) {
    return Failure{Exit::failed,
                   fmt::format("{}: {}", shown, info.if_contains("Reason") ? word(info.at("Reason")) : "failed")};
  }
  static const json::object kEmpty;
  const auto* sums = info.if_contains("Summary") ? info.at("Summary").if_object() : nullptr;
  const auto& summary = sums ? *sums : kEmpty;
  fmt::print("{} :\n  inode: {}\n  files: {}\n   dirs: {}\n length: {}\n   size: {}\n", shown, number(info, "Ino"),
             number(summary, "Files"), number(summary, "Dirs"), size_text(number(summary, "Length")),
             size_text(number(summary, "Size")));
  print_paths(info);
  print_tier(info);
  print_data(info);
  print_locks(info);
  return boost::system::in_place_value;
}

Try<void> info_of_path(const std::string& path, InfoQuery query) {
  std::error_code ec;
  auto real = std::filesystem::canonical(path, ec);
  struct stat st{};
  if (!ec && ::stat(real.c_str(), &st) != 0) ec.assign(errno, std::generic_category());
  if (ec) return failure(path, ec);
  query.inode = st.st_ino;
  return print_info(path, S_ISDIR(st.st_mode) ? real.string() : real.parent_path().string(), query);
}

Try<void> info_of_inode(const std::string& text, InfoQuery query) {
  auto inode = whole_number<std::uint64_t>(text);
  if (!inode) return Failure{Exit::failed, fmt::format("\"{}\" is not an inode number", text)};
  query.inode = *inode;
  return print_info(text, ".", query);
}

}  // namespace

/// A path that cannot be told about is logged; it does not change the exit code (as in JuiceFS).
Try<int> run_info(const Settings& settings) {
  InfoQuery query{.recursive = settings.on("recursive"), .raw = settings.on("raw"), .strict = settings.on("strict")};
  for (const auto& argument : settings.arguments()) {
    auto done = settings.on("inode") ? info_of_inode(argument, query) : info_of_path(argument, query);
    if (!done) log::error("info.failed", {{"path", argument}, {"why", done.error().sentence}});
  }
  return 0;
}

}  // namespace kiseki::cli
