#include "cli/object_meter.hpp"

#include <array>

#include "core/metrics.hpp"

namespace kiseki::cli {
namespace {

class ObjectMeter final : public object::RequestMeter {
 public:
  void upload_started() noexcept override { all_.object_uploading.add(1); }
  void upload_ended() noexcept override { all_.object_uploading.sub(1); }
  void finished(object::Method method, std::chrono::nanoseconds took, std::uint64_t bytes,
                bool failed) noexcept override {
    const auto& series = series_[static_cast<std::size_t>(method)];
    series.durations->observe(took);
    if (bytes) series.bytes->add(bytes);
    if (failed) all_.object_errors.add();
  }

 private:
  struct Series {
    metrics::Histogram* durations;
    metrics::Counter* bytes;
  };
  Series series_of(object::Method method) {
    const char* name = object::name_of(method);
    return {&all_.object_durations.with({name, "STANDARD"}), &all_.object_data_bytes.with({name, "STANDARD"})};
  }

  metrics::Catalog& all_ = metrics::all();
  std::array<Series, 5> series_{series_of(object::Method::get), series_of(object::Method::put),
                                series_of(object::Method::remove), series_of(object::Method::head),
                                series_of(object::Method::list)};
};

}  // namespace

std::shared_ptr<object::RequestMeter> make_object_meter() { return std::make_shared<ObjectMeter>(); }

}  // namespace kiseki::cli
