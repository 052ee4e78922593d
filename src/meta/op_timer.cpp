#include "meta/op_timer.hpp"

#include <array>

#include "core/metrics.hpp"

namespace kiseki::meta {

namespace {

constexpr auto kOps = static_cast<std::size_t>(OpName::count_);
constexpr std::array<const char*, kOps> kNames{
    "Lookup",   "GetAttr",   "SetAttr",     "Truncate", "Fallocate", "Mknod",         "Link",    "Unlink",
    "Rmdir",    "Rename",    "ReadLink",    "Read",     "Write",     "CopyFileRange", "Readdir", "SetXattr",
    "GetXattr", "ListXattr", "RemoveXattr", "GetFacl",  "SetFacl",   "StatFS"};
static_assert(kNames.back() != nullptr, "a name for each");

struct Series {
  metrics::Counter* count = nullptr;
  metrics::TimeCounter* seconds = nullptr;
};

const std::array<Series, kOps>& series() {
  static const auto all = [] {
    std::array<Series, kOps> out;
    auto& catalog = metrics::all();
    for (std::size_t i = 0; i < kOps; ++i)
      out[i] = {&catalog.meta_ops.with({kNames[i]}), &catalog.meta_ops_seconds.with({kNames[i]})};
    return out;
  }();
  return all;
}

}  // namespace

OpTimer::~OpTimer() {
  auto took = std::chrono::steady_clock::now() - began_;
  const auto& one = series()[static_cast<std::size_t>(name_)];
  one.count->add();
  one.seconds->add(took);
  metrics::all().meta_ops_durations.observe(took);
}

}  // namespace kiseki::meta
