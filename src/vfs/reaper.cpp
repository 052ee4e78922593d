#include "vfs/reaper.hpp"

#include "chunk/slice_objects.hpp"
#include "core/log.hpp"
#include "meta/ops.hpp"

namespace kiseki::vfs {

namespace {

constexpr auto kGather = std::chrono::milliseconds(20);
constexpr auto kLookAgain = std::chrono::seconds(1);
constexpr std::size_t kFilesAtOnce = 64;  // fits what the engine reads and commits together

struct Leaving {  // takes back what was counted as waiting
  std::atomic<std::size_t>& waiting;
  std::size_t count;
  ~Leaving() { waiting -= count; }
};

/// EAGAIN: somebody else was faster; ECANCELED: we are being unmounted. What is left then the hourly job finds.
void tell(std::string_view event, log::Field what, std::error_code why) {
  if (why == posix(EAGAIN) || why == std::errc::operation_canceled)
    log::debug(event, {what, {"left", why}});
  else
    log::warn(event, {what, {"error", why}});
}

}  // namespace

SliceReaper::SliceReaper(meta::Client& client, object::StorePtr store, chunk::BlockLayout layout,
                         asio::any_io_executor home, Options options)
    : client_(client),
      store_(std::move(store)),
      layout_(layout),
      options_(options),
      slots_(std::max<std::size_t>(1, options.max_deletes)),
      files_at_once_(kFilesAtOnce),
      tasks_(std::move(home)) {}

void SliceReaper::file_removed(Ino ino, std::uint64_t length) {
  if (options_.max_deletes == 0 || waiting_ >= options_.most_waiting) return;
  ++waiting_;
  {
    std::lock_guard lock(mutex_);
    files_.emplace_back(ino, length);
    if (files_.size() > 1) return;
  }
  tasks_.spawn(remove_files());
}

asio::awaitable<void> SliceReaper::remove_files() {
  co_await sleep_for(kGather);
  std::vector<std::pair<Ino, std::uint64_t>> files;
  {
    std::lock_guard lock(mutex_);
    files.swap(files_);
  }
  for (auto [ino, length] : files) tasks_.spawn(remove_file(ino, length));
}

void SliceReaper::slices_released(std::vector<meta::DelayedSlice> slices) {
  if (options_.max_deletes == 0 || slices.empty() || waiting_ + slices.size() > options_.most_waiting) return;
  waiting_ += slices.size();
  tasks_.spawn(remove_slices(std::move(slices)));
}

asio::awaitable<void> SliceReaper::remove_file(Ino ino, std::uint64_t length) {
  Leaving leaving{waiting_, 1};
  while (client_.is_open(ino)) co_await sleep_for(kLookAgain);  // opened while its last name went
  auto turn = co_await files_at_once_.acquire();
  auto done = co_await meta::delete_file_data(client_, ino, length);  // tells us of the slices that are free now
  if (!done) tell("reaper.file", {"ino", ino.value}, done.error());
}

asio::awaitable<void> SliceReaper::remove_slices(std::vector<meta::DelayedSlice> slices) {
  Leaving leaving{waiting_, slices.size()};
  for (const auto& slice : slices) {
    auto slot = co_await slots_.acquire();
    auto removed = co_await chunk::remove_slice(store_, layout_, slice.id, slice.size);
    // The record goes only when the objects are gone: it is what a later attempt starts from.
    auto done = removed ? co_await meta::forget_slice(client_, slice.id, slice.size) : removed;
    if (!done) tell("reaper.slice", {"slice", slice.id.value}, done.error());
  }
}

}  // namespace kiseki::vfs
