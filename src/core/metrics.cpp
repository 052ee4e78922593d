#include "core/metrics.hpp"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <mutex>

#include "core/process_metrics.hpp"

namespace kiseki::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

std::mutex g_mutex;  // guards both
Labels g_common;
std::vector<std::weak_ptr<const std::function<void()>>> g_refreshers;

void refresh_all() {
  std::vector<Refresh> alive;
  {
    std::lock_guard lock(g_mutex);
    for (const auto& one : g_refreshers)
      if (auto refresh = one.lock()) alive.push_back(std::move(refresh));
  }
  for (const auto& refresh : alive) (*refresh)();
}

std::vector<MetricFamily> collect() {
  refresh_all();
  std::vector<MetricFamily> families;
  for (const auto& value : detail::process_values()) {
    auto& family = families.emplace_back();
    family.name = value.name;
    family.help = value.help;
    family.type = value.counter ? MetricType::Counter : MetricType::Gauge;
    auto& metric = family.metric.emplace_back();
    (value.counter ? metric.counter.value : metric.gauge.value) = value.value;
  }
  for (const auto* family : all().registry) family->collect(families);
  return families;
}

/// Shortest decimal that reads back the same, without exponent.
std::string decimal(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  std::array<char, 512> text;  // the longest double has 309 digits before the point
  auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  return error == std::errc() ? std::string(text.data(), end) : "0";
}

void add_line(std::string& out, const std::string& name, double value) { out += name + ' ' + decimal(value) + '\n'; }

void add_lines(std::string& out, const MetricFamily& family, const ClientMetric& metric) {
  auto name = family.name;
  for (const auto& label : metric.label) {
    if (label.name == "method" || label.name == "errno") name += '_' + label.value;
  }
  if (family.type == MetricType::Histogram) {
    add_line(out, name + "_total", static_cast<double>(metric.histogram.sample_count));
    add_line(out, name + "_sum", metric.histogram.sample_sum);
  } else {
    add_line(out, name, family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value);
  }
}

}  // namespace

Catalog& all() {
  static auto* catalog = new Catalog;  // coroutines that end late still count
  return *catalog;
}

void set_common_labels(std::map<std::string, std::string> labels) {
  std::lock_guard lock(g_mutex);
  g_common.clear();
  for (auto& [name, value] : labels) g_common.push_back({name, value});
}

Refresh refresh_with(std::function<void()> refresh) {
  auto kept = std::make_shared<const std::function<void()>>(std::move(refresh));
  std::lock_guard lock(g_mutex);
  std::erase_if(g_refreshers, [](const auto& one) { return one.expired(); });
  g_refreshers.push_back(kept);
  return kept;
}

std::string metrics_text() {
  Labels common;
  {
    std::lock_guard lock(g_mutex);
    common = g_common;
  }
  auto families = collect();
  for (auto& family : families) {
    for (auto& metric : family.metric) {
      metric.label.insert(metric.label.end(), common.begin(), common.end());
      std::sort(metric.label.begin(), metric.label.end());
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

std::string stats_text() {
  std::string out;
  for (const auto& family : collect()) {
    for (const auto& metric : family.metric) add_lines(out, family, metric);
  }
  return out;
}

}  // namespace kiseki::metrics
