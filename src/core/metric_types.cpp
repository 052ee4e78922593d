#include "core/metric_types.hpp"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <cassert>
#include <limits>

namespace kiseki::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

template <class M>
constexpr MetricType kType = MetricType::Untyped;
template <>
constexpr MetricType kType<Counter> = MetricType::Counter;
template <>
constexpr MetricType kType<TimeCounter> = MetricType::Counter;
template <>
constexpr MetricType kType<Gauge> = MetricType::Gauge;
template <>
constexpr MetricType kType<Histogram> = MetricType::Histogram;

}  // namespace

std::uint64_t Counter::value() const noexcept {
  std::uint64_t total = 0;
  for (const auto& cell : cells_) total += cell.value.load(std::memory_order_relaxed);
  return total;
}

bool Counter::fill(ClientMetric& out) const {
  out.counter.value = static_cast<double>(value());
  return true;
}

bool TimeCounter::fill(ClientMetric& out) const {
  out.counter.value = seconds();
  return true;
}

void Gauge::set(double value) noexcept {
  value_.store(value, std::memory_order_relaxed);
  shown_.store(true, std::memory_order_relaxed);
}

void Gauge::add(double by) noexcept {
  value_.fetch_add(by, std::memory_order_relaxed);
  if (!shown_.load(std::memory_order_relaxed)) shown_.store(true, std::memory_order_relaxed);
}

Gauge::Source Gauge::source() const {
  std::lock_guard lock(mutex_);
  return source_.lock();
}

double Gauge::value() const {
  auto read = source();
  return read ? (*read)() : value_.load(std::memory_order_relaxed);
}

bool Gauge::fill(ClientMetric& out) const {
  if (auto read = source()) {
    out.gauge.value = (*read)();
    return true;
  }
  out.gauge.value = value_.load(std::memory_order_relaxed);
  return shown_.load(std::memory_order_relaxed);
}

Gauge::Source Gauge::follow(std::function<double()> read) {
  auto source = std::make_shared<const std::function<double()>>(std::move(read));
  std::lock_guard lock(mutex_);
  source_ = source;
  return source;
}

Bounds exponential(double first, double factor, std::size_t count) {
  Bounds bounds;
  for (auto bound = first; bounds.size() < count; bound *= factor) bounds.push_back(bound);
  return bounds;
}

Bounds linear(double first, double step, std::size_t count) {
  Bounds bounds;
  for (auto bound = first; bounds.size() < count; bound += step) bounds.push_back(bound);
  return bounds;
}

Histogram::Histogram(const Bounds& bounds) : bounds_(bounds) {
  assert(std::is_sorted(bounds.begin(), bounds.end()));
  for (auto& cell : cells_) cell.counts = std::make_unique<std::atomic<std::uint64_t>[]>(bounds.size() + 1);
}

void Histogram::observe(double value) noexcept {
  auto bucket = static_cast<std::size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
  auto& cell = cells_[cell_of_thread()];
  cell.counts[bucket].fetch_add(1, std::memory_order_relaxed);
  cell.sum.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const noexcept {
  std::uint64_t total = 0;
  for (const auto& cell : cells_) {
    for (std::size_t i = 0; i <= bounds_.size(); ++i) total += cell.counts[i].load(std::memory_order_relaxed);
  }
  return total;
}

double Histogram::sum() const noexcept {
  double total = 0;
  for (const auto& cell : cells_) total += cell.sum.load(std::memory_order_relaxed);
  return total;
}

bool Histogram::fill(ClientMetric& out) const {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i <= bounds_.size(); ++i) {
    for (const auto& cell : cells_) below += cell.counts[i].load(std::memory_order_relaxed);
    auto bound = i < bounds_.size() ? bounds_[i] : std::numeric_limits<double>::infinity();
    out.histogram.bucket.push_back({below, bound});
  }
  out.histogram.sample_count = below;
  out.histogram.sample_sum = sum();
  return true;
}

MetricFamily& Family::open(std::vector<MetricFamily>& out, int type) const {
  auto& family = out.emplace_back();
  family.name = name_;
  family.help = help_;
  family.type = static_cast<MetricType>(type);
  return family;
}

template <class M>
void Single<M>::collect(std::vector<MetricFamily>& out) const {
  ClientMetric metric;
  if (!this->fill(metric)) return;
  open(out, static_cast<int>(kType<M>)).metric.push_back(std::move(metric));
}

template <class M>
M& Labeled<M>::with(std::initializer_list<std::string_view> values) {
  assert(values.size() == labels_.size());
  std::lock_guard lock(mutex_);
  auto& series = series_[std::vector<std::string>(values.begin(), values.end())];
  if (!series) series = make_();
  return *series;
}

template <class M>
void Labeled<M>::remove(std::initializer_list<std::string_view> values) {
  std::lock_guard lock(mutex_);
  series_.erase(std::vector<std::string>(values.begin(), values.end()));
}

template <class M>
void Labeled<M>::collect(std::vector<MetricFamily>& out) const {
  std::lock_guard lock(mutex_);
  if (series_.empty()) return;
  auto& family = open(out, static_cast<int>(kType<M>));
  for (const auto& [values, series] : series_) {
    ClientMetric metric;
    if (!series->fill(metric)) continue;
    for (std::size_t i = 0; i < labels_.size(); ++i) metric.label.push_back({labels_[i], values[i]});
    family.metric.push_back(std::move(metric));
  }
}

template class Single<Counter>;
template class Single<TimeCounter>;
template class Single<Gauge>;
template class Single<Histogram>;
template class Labeled<Counter>;
template class Labeled<TimeCounter>;
template class Labeled<Gauge>;
template class Labeled<Histogram>;

}  // namespace kiseki::metrics
