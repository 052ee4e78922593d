#include "cli/mounted_volume.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cli/config_changes.hpp"
#include "cli/locations.hpp"
#include "cli/meta_access.hpp"
#include "cli/mount_config_text.hpp"
#include "cli/object_meter.hpp"
#include "cli/storage_check.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "meta/volume_format.hpp"
#include "object/open_store.hpp"
#include "object/staged_fallback_store.hpp"

namespace kiseki::cli {
namespace {

/// How others see this client in `status`: first the version whose formats we speak, then ours.
constexpr const char* kSessionVersion = "1.4.1+kiseki";

// Parts of --buffer-size set apart: one in so many for codecs, on a volume that has them, and for WRITEs that wait. The
// rest holds a block being written and one being read at least.
constexpr std::size_t kCodecPart = 4, kWritePart = 8, kLeastArena = std::size_t{8} << 20, kLeastBlocks = 2;

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

/// Of the arena, the part that blocks already read may fill; the rest is for writes and read-ahead under way.
std::size_t cache_share(std::size_t buffer_bytes) { return buffer_bytes / 3 * 2; }

asio::awaitable<Result<void>> ended_result(Async<void> work) {
  try {
    co_return co_await std::move(work);
  } catch (const std::exception& bug) {
    log::error("mount.serve.bug", {{"what", bug.what()}});
    co_return posix(EIO);
  }
}

asio::awaitable<void> serve_then(Async<void> work, std::function<void(Result<void>)> ended) {
  auto result = co_await ended_result(std::move(work));
  ended(result);
}

}  // namespace

MountedVolume::MountedVolume(MountPlan plan)
    : plan_(std::move(plan)), runtime_({.loops = plan_.loops, .pin = true}), clock_(std::make_shared<SystemClock>()) {
  runtime_.start();
}

MountedVolume::~MountedVolume() = default;

Try<void> MountedVolume::open(SessionId reuse, std::function<void(std::string)> lost) {
  resumed_ = reuse.value != 0;
  auto opened = [&]() -> Try<void> {
    TRY_CHECK(open_metadata(reuse, std::move(lost)));
    TRY_CHECK(open_store());
    TRY_CHECK(find_root());
    return open_volume();
  }();
  if (!opened) {
    close();
    return opened;
  }
  start_metrics();
  return boost::system::in_place_value;
}

Try<void> MountedVolume::open_metadata(SessionId reuse, std::function<void(std::string)> lost) {
  auto mode = plan_.client.read_only ? meta::OpenMode::read_only : meta::OpenMode::existing;
  auto engine = meta::open_engine(plan_.meta_url, mode, runtime_);
  if (!engine) return as_failure(engine.error());
  engine_ = std::move(*engine);
  auto format = runtime_.wait(meta::read_format(*engine_));
  if (!format) return no_format(format.error(), plan_.meta_url);
  format_ = std::move(*format);
  TRY_CHECK(check_data_features(*format_));
  if (format_->change_log && !plan_.client.read_only)
    return Failure{Exit::failed,
                   fmt::format("volume {} records its changes (ChangeLog), which this version cannot do: mount it with "
                               "--read-only, or switch that off with kiseki config {} --changelog=false",
                               format_->name, shown_meta_url(plan_.meta_url))};
  client_ = std::make_unique<meta::Client>(engine_, *format_, clock_, plan_.client);

  follow_rates(*format_);
  auto follow = [this](meta::Format format) { return follow_format(std::move(format)); };
  auto info = meta::SessionInfo::of_this_process(kSessionVersion, plan_.mount_point, clock_->now());
  membership_ =
      std::make_unique<meta::ClientSession>(*client_, runtime_.executor(0), std::move(info),
                                            meta::ClientSession::Options{.heartbeat = plan_.heartbeat,
                                                                         .background_jobs = plan_.background_jobs,
                                                                         .reuse = reuse,
                                                                         .on_volume_lost = std::move(lost),
                                                                         .on_format_changed = follow});
  auto joined = runtime_.wait(membership_->start());
  if (!joined && joined.error() == posix(EROFS))
    return Failure{Exit::failed, fmt::format("{} cannot be written by this user: give it the file and its directory, "
                                             "or mount with --read-only",
                                             shown_meta_url(plan_.meta_url))};
  if (!joined)
    return failure(fmt::format("cannot register this mount in {}", shown_meta_url(plan_.meta_url)), joined.error());
  return boost::system::in_place_value;
}

void MountedVolume::follow_rates(const meta::Format& format) {
  rates_->upload.set(object::bytes_per_second(plan_.upload_mbps.value_or(format.upload_limit)));
  rates_->download.set(object::bytes_per_second(plan_.download_mbps.value_or(format.download_limit)));
}

Async<void> MountedVolume::follow_format(meta::Format format) {
  follow_rates(format);
  co_return co_await run_blocking(runtime_.pool("reopen", 1), [&] {
    reopen_store(format);
    return Result<void>();
  });
}

/// New keys, another bucket: what is not said otherwise by our flags.
void MountedVolume::reopen_store(const meta::Format& format) {
  std::lock_guard lock(opening_store_);
  if (!buckets_) return;  // it will be opened as it now is
  auto spec = spec_of(format);
  if (spec && same_buckets(*spec, spec_)) return;
  auto why = spec ? object::reopen_buckets(*buckets_, *spec, runtime_) : spec.error().sentence;
  if (!why.empty()) {
    log::error("mount.store_not_changed",
               {{"why", why}, {"remedy", "this mount goes on as before; correct the setting with kiseki config"}});
    return;
  }
  spec_ = std::move(*spec);
  log::info("mount.store_changed", {{"store", buckets_->describe()}});
}

Try<object::StoreSpec> MountedVolume::spec_of(const meta::Format& format) const {
  auto spec = store_spec(format);
  if (plan_.storage) spec.storage = *plan_.storage;
  if (plan_.bucket) {
    TRY(spec.bucket, stored_bucket(spec.storage, *plan_.bucket));
  }
  spec.codec = codec_of(format, plan_.buffer_bytes / kCodecPart);
  spec.retries.tries = plan_.io_tries;
  spec.timeouts = {.put = plan_.put_timeout, .get = plan_.get_timeout};
  spec.hedge_percentile = plan_.hedge_percentile;
  spec.limits.uploads = plan_.max_uploads;
  spec.limits.downloads = plan_.max_downloads;
  spec.limits.rates = rates_;
  if (plan_.storage_class) spec.storage_class = *plan_.storage_class;
  if (plan_.tag) spec.tag = *plan_.tag;
  return spec;
}

/// A directory that is not there is made by the first write, perhaps below the mount point of a disk that is missing.
void MountedVolume::warn_of_missing_objects() const {
  if (spec_.storage != "file" || spec_.shards > 1 || file_exists(spec_.bucket + spec_.volume)) return;
  log::warn("mount.no_objects", {{"directory", spec_.bucket + spec_.volume},
                                 {"effect", "it will be made anew, and what was written before cannot be read"},
                                 {"remedy", "see whether its disk is mounted"}});
}

Try<void> MountedVolume::open_store() {
  object::OpenedStore opened;
  {
    std::lock_guard lock(opening_store_);
    TRY(spec_, spec_of(*client_->format()));
    spec_.meter = make_object_meter();
    warn_of_missing_objects();
    opened = object::open_store(spec_, runtime_);
    if (!opened.store) return Failure{Exit::failed, opened.error};
    store_ = std::move(opened.store);
    buckets_ = std::move(opened.buckets);
  }
  auto waiting_writes = plan_.buffer_bytes / kWritePart;
  plan_.session.write_bytes = std::max<std::size_t>(waiting_writes / runtime_.loops(), plan_.session.max_write);
  TRY_CHECK(make_arena(opened.memory_bytes + waiting_writes));
  if (plan_.check_storage) {
    if (auto tested = runtime_.wait(test_store(*store_)); !tested) return tested.error();
  }
  if (plan_.cache_dirs.empty()) return boost::system::in_place_value;
  std::vector<std::string> dirs;
  for (const auto& dir : plan_.cache_dirs) dirs.push_back(dir + "/" + format_->uuid);
  auto staged = std::make_shared<object::StagedFallbackStore>(store_, std::move(dirs), runtime_.pool("object-file", 4));
  if (!plan_.client.read_only) {
    auto recovered = runtime_.wait(staged->recover());
    if (recovered.uploaded || recovered.failed || recovered.left) {
      log::info("mount.staged_blocks",
                {{"uploaded", recovered.uploaded}, {"failed", recovered.failed}, {"left", recovered.left}});
    }
  }
  store_ = std::move(staged);
  return boost::system::in_place_value;
}

/// What is set apart is no longer there for buffers: the sum stays --buffer-size.
Try<void> MountedVolume::make_arena(std::size_t set_apart) {
  auto least = std::max<std::size_t>(kLeastArena, kLeastBlocks * format_->block_bytes());
  auto limit = std::max(plan_.buffer_bytes - std::min(set_apart, plan_.buffer_bytes), least);
  auto whole = limit + plan_.memory_cache_bytes;
  if (limit + set_apart > plan_.buffer_bytes)
    log::warn("mount.small_buffers",
              {{"asked", human_bytes(plan_.buffer_bytes)},
               {"taken", human_bytes(limit + set_apart)},
               {"because", "a few blocks of this volume, and what encodes them, take that much"}});
  try {
    arena_ = std::make_unique<BufferArena>(BufferArena::Options{
        .limit_bytes = whole, .overflow_dir = plan_.overflow_dir, .overflow_bytes = plan_.overflow_bytes});
  } catch (const std::exception& refused) {  // std::system_error of what it maps, std::bad_alloc of its tables
    return Failure{Exit::failed, fmt::format("no {} of buffers here (--buffer-size, --cache-size, --overflow-dir): {}",
                                             human_bytes(whole), refused.what())};
  }
  return boost::system::in_place_value;
}

/// The directory that becomes the root of a mount with --subdir; made when it is missing.
Try<void> MountedVolume::find_root() {
  if (plan_.subdir.empty() || plan_.subdir == "/") return boost::system::in_place_value;
  Ino at = kRootIno;
  for (std::size_t from = 0; from < plan_.subdir.size();) {
    auto slash = std::min(plan_.subdir.find('/', from), plan_.subdir.size());
    auto name = plan_.subdir.substr(from, slash - from);
    from = slash + 1;
    if (name.empty()) continue;
    auto found = runtime_.wait(meta::lookup(*client_, at, name));
    if (!found && found.error() == posix(ENOENT) && !plan_.client.read_only) {
      meta::NewInode directory;
      directory.type = meta::FileType::directory;
      directory.mode = 0777;
      found = runtime_.wait(meta::make(*client_, {}, at, name, directory));
    }
    if (!found) return failure(fmt::format("--subdir {}", plan_.subdir), found.error());
    if (!found->attr.is_dir())
      return Failure{Exit::failed, fmt::format("--subdir {}: {} is not a directory", plan_.subdir, name)};
    at = found->ino;
  }
  plan_.volume.root = at;
  plan_.volume.subdir = at != kRootIno;
  return boost::system::in_place_value;
}

vfs::FileDataOptions MountedVolume::data_options(const chunk::BlockLayout& layout) {
  vfs::FileDataOptions options;
  options.layout = layout;
  auto buffers = arena_->limit_bytes() - plan_.memory_cache_bytes;
  options.cache_bytes = cache_share(buffers) + plan_.memory_cache_bytes;
  options.max_readahead =
      plan_.readahead_bytes ? plan_.readahead_bytes : std::min<std::size_t>(8ull * layout.block_bytes, buffers / 4);
  options.cache_full_writes = plan_.cache_full_writes;
  options.prefetch_workers = plan_.prefetch;
  options.compaction = !plan_.client.read_only && plan_.background_jobs;
  options.clock = clock_;
  options.home = runtime_.executor(0);
  options.here = [this] {
    int loop = Runtime::current_loop();
    return runtime_.executor(loop < 0 ? 0u : static_cast<unsigned>(loop));
  };
  return options;
}

Try<void> MountedVolume::open_volume() {
  chunk::BlockLayout layout{.block_bytes = static_cast<std::uint32_t>(format_->block_bytes()),
                            .hash_prefix = format_->hash_prefix,
                            .whole_only = codec_of(*format_, 0).encodes()};
  data_ = vfs::make_file_data(vfs::make_slice_meta(*client_), store_, *arena_, data_options(layout));
  reaper_ = std::make_unique<vfs::SliceReaper>(
      *client_, store_, layout, runtime_.executor(0),
      vfs::SliceReaper::Options{.max_deletes = plan_.client.read_only ? 0 : plan_.max_deletes});
  client_->set_reaper(reaper_.get());
  housekeeper_ = std::make_unique<meta::Housekeeper>(
      *client_, runtime_.executor(0),
      meta::Housekeeper::Options{.background_jobs = plan_.background_jobs && !plan_.client.read_only});
  housekeeper_->start();

  plan_.volume.config_text = [this] {
    return mount_config_text(plan_, *client_->format(), client_->session(), metrics_ ? metrics_->address() : "");
  };
  plan_.volume.stats_text = [this]() -> Async<std::string> {
    co_return co_await run_blocking(runtime_.pool("stats", 1),
                                    [] { return Result<std::string>(metrics::stats_text()); });
  };
  if (resumed_) {
    auto held = runtime_.wait(client_->engine().scan_locks(client_->session()));
    if (!held) return failure("cannot read what this mount holds open", held.error());
    plan_.volume.resumed = std::move(held->sustained);
  }
  volume_ = std::make_unique<vfs::Volume>(*client_, *data_, runtime_.executor(0), plan_.volume);
  plan_.session.acl = format_->enable_acl;
  logged_ = std::make_unique<vfs::LoggedFilesystem>(*volume_, volume_->access_log());
  session_ = std::make_unique<fuse::Session>(runtime_, *logged_, plan_.session);
  serving_ = std::make_unique<TaskGroup>(runtime_.executor(0));
  return boost::system::in_place_value;
}

/// A metrics page that cannot listen is no reason not to mount.
void MountedVolume::start_metrics() {
  auto labels = plan_.labels;
  labels.insert_or_assign("instance", host_name());
  labels.insert_or_assign("mp", plan_.mount_point);
  labels.insert_or_assign("vol_name", format_->name);
  labels.insert_or_assign("juicefs_version", kSessionVersion);
  metrics::set_common_labels(std::move(labels));
  meter_ =
      std::make_unique<VolumeMeter>(*client_, *arena_, vfs::block_cache_of(*data_), *volume_, runtime_.executor(0));
  metrics::all().subdir_info.with({plan_.volume.subdir ? plan_.subdir : ""}).set(1);
  if (plan_.background_jobs) meter_->follow_usage();
  if (plan_.metrics.empty()) return;
  metrics_ = std::make_unique<net::MetricsServer>(runtime_);
  auto if_busy = !plan_.metrics_given ? net::IfBusy::any_port : resumed_ ? net::IfBusy::wait : net::IfBusy::fail;
  auto started = metrics_->start(plan_.metrics, if_busy);
  if (started) {
    log::info("metrics.listening", {{"address", metrics_->address()}});
  } else {
    log::error("metrics.not_listening", {{"address", plan_.metrics}, {"why", started.error()}});
    metrics_.reset();
  }
}

fuse::MountOptions MountedVolume::device_options() const {
  auto out = plan_.device;
  out.source = "Kiseki:" + format_->name;
  return out;
}

void MountedVolume::serve(fuse::UniqueFd device, std::optional<fuse::Settings> taken_over, std::function<void()> ready,
                          std::function<void(Result<void>)> ended) {
  auto serves = [this, told = std::move(ready)] {
    served_ = true;
    told();
  };
  serving_->spawn(serve_then(session_->serve(std::move(device), taken_over, std::move(serves)), std::move(ended)));
}

asio::awaitable<void> MountedVolume::shut_down() {
  if (serving_) co_await serving_->join();
  if (metrics_) co_await metrics_->close();
  if (meter_) co_await meter_->close();
  if (housekeeper_) co_await housekeeper_->close();
  if (reaper_) co_await reaper_->close();
  if (data_) {
    if (auto closed = co_await data_->close(); !closed) log::error("mount.close.data", {{"why", closed.error()}});
  }
  if (membership_) {
    bool to_be_continued = resumed_ && !served_;
    if (auto left = co_await membership_->close(to_be_continued); !left)
      log::warn("mount.close.session", {{"why", left.error()}});
  }
}

void MountedVolume::close() {
  runtime_.wait(shut_down());
  serving_.reset();
  metrics_.reset();
  meter_.reset();
  session_.reset();
  logged_.reset();
  volume_.reset();
  housekeeper_.reset();
  if (client_) client_->set_reaper(nullptr);
  reaper_.reset();
  data_.reset();
  membership_.reset();
  client_.reset();
  store_.reset();
  if (engine_) runtime_.wait(engine_->close());
  engine_.reset();
  runtime_.stop();
}

}  // namespace kiseki::cli
