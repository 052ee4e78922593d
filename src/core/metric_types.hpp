#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
struct ClientMetric;
struct MetricFamily;
}  // namespace prometheus

/// The kinds of numbers we count. Adding is a relaxed atomic on a cell that the thread shares with few others; the sum
/// is taken when someone looks.
namespace kiseki::metrics {

inline constexpr unsigned kCells = 8;
/// The cell of this thread, 0 .. kCells - 1.
inline unsigned cell_of_thread() noexcept {
  static std::atomic<unsigned> next{0};
  thread_local const unsigned mine = next.fetch_add(1, std::memory_order_relaxed) % kCells;
  return mine;
}

/// Only grows.
class Counter {
 public:
  void add(std::uint64_t n = 1) noexcept { cells_[cell_of_thread()].value.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const noexcept;
  bool fill(prometheus::ClientMetric& out) const;

 private:
  struct alignas(64) Cell {
    std::atomic<std::uint64_t> value{0};
  };
  std::array<Cell, kCells> cells_;
};

/// Only grows; shown in seconds.
class TimeCounter {
 public:
  void add(std::chrono::nanoseconds time) noexcept { nanoseconds_.add(static_cast<std::uint64_t>(time.count())); }
  double seconds() const noexcept { return static_cast<double>(nanoseconds_.value()) * 1e-9; }
  bool fill(prometheus::ClientMetric& out) const;

 private:
  Counter nanoseconds_;
};

/// Goes up and down. Not shown before it was set or added to for the first time.
class Gauge {
 public:
  void set(double value) noexcept;
  void add(double by) noexcept;
  void sub(double by) noexcept { add(-by); }
  double value() const;
  bool fill(prometheus::ClientMetric& out) const;

  /// As long as the returned object lives, the gauge is what `read` says (any thread, must not block). One at a time: a
  /// later source replaces an earlier one.
  using Source = std::shared_ptr<const std::function<double()>>;
  [[nodiscard]] Source follow(std::function<double()> read);

 private:
  std::shared_ptr<const std::function<double()>> source() const;
  std::atomic<double> value_{0};
  std::atomic<bool> shown_{false};
  mutable std::mutex mutex_;  // guards source_
  std::weak_ptr<const std::function<double()>> source_;
};

/// Upper bounds of a histogram's buckets, ascending, without infinity.
using Bounds = std::vector<double>;
Bounds exponential(double first, double factor, std::size_t count);
Bounds linear(double first, double step, std::size_t count);

class Histogram {
 public:
  explicit Histogram(const Bounds& bounds);
  void observe(double value) noexcept;
  void observe(std::chrono::nanoseconds time) noexcept { observe(static_cast<double>(time.count()) * 1e-9); }
  std::uint64_t count() const noexcept;
  double sum() const noexcept;
  bool fill(prometheus::ClientMetric& out) const;

 private:
  struct alignas(64) Cell {
    std::unique_ptr<std::atomic<std::uint64_t>[]> counts;  // one per bucket, infinity last
    std::atomic<double> sum{0};
  };
  Bounds bounds_;
  std::array<Cell, kCells> cells_;
};

/// A name with one or more series, as it is shown.
class Family {
 public:
  Family(const char* name, const char* help) : name_(name), help_(help) {}
  Family(const Family&) = delete;
  virtual ~Family() = default;
  virtual void collect(std::vector<prometheus::MetricFamily>& out) const = 0;
  const char* name() const { return name_; }

 protected:
  prometheus::MetricFamily& open(std::vector<prometheus::MetricFamily>& out, int type) const;

 private:
  const char* name_;
  const char* help_;
};

/// All families of a catalog, in the order of their declaration.
using Registry = std::vector<const Family*>;

/// One series without labels.
template <class M>
class Single final : public Family, public M {
 public:
  template <class... Args>
  Single(Registry& registry, const char* name, const char* help, Args&&... args)
      : Family(name, help), M(std::forward<Args>(args)...) {
    registry.push_back(this);
  }
  void collect(std::vector<prometheus::MetricFamily>& out) const override;
};

/// One series per combination of label values, from a closed set: never a key, a path or (but for quotas) an inode.
template <class M>
class Labeled final : public Family {
 public:
  Labeled(Registry& registry, const char* name, const char* help, std::vector<std::string> labels)
    requires std::default_initializable<M>
      : Family(name, help), labels_(std::move(labels)), make_([] { return std::make_unique<M>(); }) {
    registry.push_back(this);
  }
  Labeled(Registry& registry, const char* name, const char* help, std::vector<std::string> labels, Bounds bounds)
    requires std::constructible_from<M, const Bounds&>
      : Family(name, help), labels_(std::move(labels)), make_([bounds] { return std::make_unique<M>(bounds); }) {
    registry.push_back(this);
  }
  /// The series with these label values; the reference stays good (until `remove`): look up once, keep it.
  M& with(std::initializer_list<std::string_view> values);
  void remove(std::initializer_list<std::string_view> values);
  void collect(std::vector<prometheus::MetricFamily>& out) const override;

 private:
  std::vector<std::string> labels_;
  std::function<std::unique_ptr<M>()> make_;
  mutable std::mutex mutex_;  // guards series_
  std::map<std::vector<std::string>, std::unique_ptr<M>> series_;
};

}  // namespace kiseki::metrics
