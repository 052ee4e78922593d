#include "fuse/session.hpp"

#include <fcntl.h>

#include <boost/asio/post.hpp>

#include "core/log.hpp"
#include "fuse/dev_queue.hpp"
#include "fuse/notifier.hpp"
#include "fuse/worker.hpp"

namespace kiseki::fuse {
namespace {

Async<void> done(asio::awaitable<void> work) {
  co_await std::move(work);
  co_return Result<void>{};
}

bool is_unmounted(std::error_code why) { return !why || why == posix(ENODEV) || why == posix(ECONNABORTED); }

}  // namespace

Session::Session(Runtime& runtime, vfs::Filesystem& fs, SessionOptions options)
    : runtime_(runtime), fs_(fs), shared_(new SessionShared{fs, options, {}, {}, {}}) {
  shared_->initialised = [this](const Settings& settings) { greeted(settings); };
  shared_->ended = [this](std::error_code why) { ended(why); };
}

Session::~Session() = default;

Result<void> Session::make_workers(int device) {
  const auto& options = shared_->options;
  DevQueueLimits limits{options.max_write, options.write_buffers, options.write_bytes, options.requests};
  for (unsigned i = 0; i < runtime_.loops(); ++i) {
    TRY(UniqueFd end, clone_device(device));
    auto& loop = runtime_.loop(i);
    shared_->workers.push_back(std::make_unique<Worker>(*shared_, loop, make_dev_queue(loop, std::move(end), limits)));
  }
  return {};
}

Async<void> Session::serve(UniqueFd device, std::optional<Settings> taken_over, std::function<void()> ready) {
  device_ = std::move(device);
  ready_ = std::move(ready);
  auto ticket = over_.ticket();
  CO_CHECK(make_workers(device_.get()));
  if (taken_over) {
    greeted(*taken_over);  // before any worker starts: no request is answered by a file system that has no notifier yet
    runtime_.post(0, [worker = shared_->workers[0].get(), settings = *taken_over] { worker->start(settings); });
  } else {
    runtime_.post(0, [worker = shared_->workers[0].get()] { worker->start({}); });
  }
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (end_) break;
    }
    co_await over_.wait(ticket);
  }
  co_await close_workers();
  if (notifier_) notifier_->close();
  co_await fs_.destroyed();
  shared_->workers.clear();
  device_ = {};
  auto why = *end_;
  if (!is_unmounted(why)) co_return why;
  co_return Result<void>{};
}

void Session::greeted(const Settings& settings) {
  {
    std::lock_guard lock(mutex_);
    settings_ = settings;
  }
  if (auto device = clone_device(device_.get())) {
    notifier_ = std::make_unique<Notifier>(std::move(*device), settings);
    fs_.attached(*notifier_);
  }
  log::info("fuse.session.ready", {{"protocol", fmt::format("7.{}", settings.minor)},
                                   {"flags", fmt::format("{:#x}", settings.flags)},
                                   {"max_write", settings.max_write},
                                   {"loops", shared_->workers.size()}});
  for (unsigned i = 1; i < shared_->workers.size(); ++i) {
    runtime_.post(i, [worker = shared_->workers[i].get(), settings] { worker->start(settings); });
  }
  if (ready_) ready_();
}

void Session::ended(std::error_code why) {
  {
    std::lock_guard lock(mutex_);
    if (end_) return;
    end_ = why;
  }
  over_.notify_all();
}

void Session::stop() { ended({}); }

asio::awaitable<void> Session::close_workers() {
  auto& workers = shared_->workers;
  for (unsigned i = 0; i < workers.size(); ++i) {
    auto stopped = co_await on(runtime_.executor(i), done(workers[i]->stop_reading()));
    if (!stopped) log::error("fuse.session.close", {{"error", stopped.error()}});
  }
  for (unsigned i = 0; i < workers.size(); ++i) {
    auto drained = co_await on(runtime_.executor(i), done(workers[i]->drain(grace_)));
    if (!drained) log::error("fuse.session.close", {{"error", drained.error()}});
  }
}

std::optional<Settings> Session::settings() const {
  std::lock_guard lock(mutex_);
  return settings_;
}

}  // namespace kiseki::fuse
