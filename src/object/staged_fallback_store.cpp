#include "object/staged_fallback_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <memory>

#include "core/async.hpp"
#include "core/big_endian.hpp"
#include "core/log.hpp"
#include "object/block_name.hpp"
#include "object/crc32c.hpp"
#include "object/file_errors.hpp"

namespace kiseki::object {

namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kPieceBytes = 32 << 10;  // covered by one checksum

struct LocalBlock {
  std::vector<std::byte> data;
};

/// Whether the checksums behind the data, if there are any (objects.md 10.2), agree with it.
Result<void> verify(int fd, std::span<const std::byte> data, std::uint64_t file_size) {
  auto sums = (data.size() + kPieceBytes - 1) / kPieceBytes * 4;
  auto extra = file_size - data.size();
  if (extra == 0 || extra % 4 != 0) return Result<void>{};
  if (extra < sums) return make_error_code(ObjectErrc::corrupt);
  std::vector<std::byte> stored(sums);
  TRY(auto got, read_fully(fd, data.size(), stored));
  if (got != sums) return make_error_code(ObjectErrc::corrupt);
  BigEndianReader reader(stored);
  for (std::size_t at = 0; at < data.size(); at += kPieceBytes) {
    auto piece = data.subspan(at, std::min<std::size_t>(kPieceBytes, data.size() - at));
    if (reader.u32() != crc32c(piece)) return make_error_code(ObjectErrc::corrupt);
  }
  return Result<void>{};
}

/// The whole plain block in a cache or staging file, checked. not_found when there is no such file.
Result<std::shared_ptr<LocalBlock>> read_block(const std::string& path, std::uint64_t length) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return object_error(errno);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return object_error(errno);
  if (static_cast<std::uint64_t>(info.st_size) < length) return make_error_code(ObjectErrc::corrupt);
  auto block = std::make_shared<LocalBlock>();
  block->data.resize(length);
  TRY(auto got, read_fully(file.get(), 0, block->data));
  if (got != length) return make_error_code(ObjectErrc::corrupt);
  TRY_CHECK(verify(file.get(), block->data, static_cast<std::uint64_t>(info.st_size)));
  return block;
}

Result<std::shared_ptr<LocalBlock>> find_block(const std::vector<std::string>& dirs, const ObjectKey& key,
                                               std::uint64_t length) {
  std::error_code worst = make_error_code(ObjectErrc::not_found);
  for (const auto& dir : dirs) {
    for (const char* sub : {"/rawstaging/", "/raw/"}) {
      auto block = read_block(dir + sub + key, length);
      if (block) return block;
      if (block.error() == make_error_code(ObjectErrc::not_found)) continue;
      log::warn("object.staged.unreadable", {{"path", dir + sub + key}, {"error", block.error()}});
      worst = block.error();
    }
  }
  return worst;
}

struct StagedFile {
  std::string path;
  ObjectKey key;
};

/// Files below `<dir>/rawstaging`; removes leftovers of interrupted writes that are older than a minute.
std::vector<StagedFile> staged_files(const std::string& dir) {
  std::vector<StagedFile> found;
  std::error_code error;
  fs::path root = dir + "/rawstaging";
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (!at->is_regular_file(ignored)) continue;
    auto path = at->path().string();
    if (path.ends_with(".tmp")) {
      auto age = fs::file_time_type::clock::now() - at->last_write_time(ignored);
      if (!ignored && age > std::chrono::minutes(1)) fs::remove(at->path(), ignored);
      continue;
    }
    found.push_back({path, path.substr(root.string().size() + 1)});
  }
  return found;
}

}  // namespace

Async<std::size_t> StagedFallbackStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  auto got = co_await inner_->get(key, offset, into);
  if (got || got.error() != make_error_code(ObjectErrc::not_found)) co_return got;
  auto length = length_in_block_key(key);
  if (!length) co_return got;
  auto job = [this, key, length] { return find_block(dirs_, key, *length); };
  auto block = co_await run_blocking(pool_, std::move(job));
  if (!block) co_return block.error();
  auto& data = (*block)->data;
  if (offset >= data.size()) co_return std::size_t{0};
  auto size = std::min<std::size_t>(into.size(), data.size() - offset);
  std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(offset), size, into.begin());
  co_return size;
}

Async<ObjectInfo> StagedFallbackStore::head(ObjectKey key) {
  auto info = co_await inner_->head(key);
  if (info || info.error() != make_error_code(ObjectErrc::not_found)) co_return info;
  auto length = length_in_block_key(key);
  if (!length) co_return info;
  auto job = [this, key, length] { return find_block(dirs_, key, *length); };
  auto block = co_await run_blocking(pool_, std::move(job));
  if (!block) co_return block.error();
  co_return ObjectInfo{key, *length, ::time(nullptr), false};
}

Async<void> StagedFallbackStore::remove(ObjectKey key) {
  std::vector<ObjectKey> keys;
  keys.push_back(std::move(key));
  return remove_all(std::move(keys));
}

Async<void> StagedFallbackStore::remove_all(std::vector<ObjectKey> keys) {
  auto job = [this, keys]() -> Result<void> {
    for (const auto& key : keys)
      for (const auto& dir : dirs_)
        for (const char* sub : {"/rawstaging/", "/raw/"}) ::unlink((dir + sub + key).c_str());
    return Result<void>{};
  };
  CO_CHECK(co_await run_blocking(pool_, std::move(job)));
  co_return co_await inner_->remove_all(std::move(keys));
}

/// True when the block is in the store now.
asio::awaitable<bool> StagedFallbackStore::upload_staged(std::string path, ObjectKey key, Recovered& sum) {
  auto length = length_in_block_key(key);
  if (!length) {
    log::warn("object.staged.unknown_file", {{"path", path}});
    ++sum.left;
    co_return false;
  }
  auto job = [path, length] { return read_block(path, *length); };
  auto block = co_await run_blocking(pool_, std::move(job));
  if (!block) {
    log::error("object.staged.bad_block", {{"path", path}, {"error", block.error()}});
    ++sum.left;
    co_return false;
  }
  Body body;
  body.pieces.emplace_back((*block)->data);
  body.owner = *block;
  auto stored = co_await inner_->put(key, std::move(body));
  if (!stored) {
    log::error("object.staged.upload_failed", {{"key", key}, {"error", stored.error()}});
    ++sum.failed;
    co_return false;
  }
  ++sum.uploaded;
  co_return true;
}

asio::awaitable<StagedFallbackStore::Recovered> StagedFallbackStore::recover() {
  Recovered sum;
  for (const auto& dir : dirs_) {
    auto walk = [dir]() -> Result<std::vector<StagedFile>> { return staged_files(dir); };
    auto files = co_await run_blocking(pool_, std::move(walk));
    for (auto& file : *files) {
      if (!co_await upload_staged(file.path, file.key, sum)) continue;
      auto drop = [path = file.path]() -> Result<void> { return ::unlink(path.c_str()), Result<void>{}; };
      (void)co_await run_blocking(pool_, std::move(drop));
    }
  }
  if (sum.uploaded + sum.left + sum.failed > 0)
    log::info("object.staged.recovered", {{"uploaded", sum.uploaded}, {"left", sum.left}, {"failed", sum.failed}});
  co_return sum;
}

}  // namespace kiseki::object
