// The observer hears of every change, in order, before the one who made it goes on.
#include <algorithm>
#include <thread>

#include "engine_contract.hpp"

namespace kiseki::meta {
namespace {

class Listener final : public ChangeObserver {
 public:
  void committed(const Commit& commit, const Outcome& outcome) noexcept override {
    std::lock_guard lock(mutex_);
    EXPECT_TRUE(outcome.applied);
    EXPECT_FALSE(commit.writes.empty());
    for (auto value : outcome.returned) values_.push_back(value);
    ++commits_;
  }
  void changed_elsewhere(const Key&) noexcept override {}
  void entries_changed_elsewhere(Ino) noexcept override {}
  void everything_may_have_changed() noexcept override {}
  std::vector<std::int64_t> values() const {
    std::lock_guard lock(mutex_);
    return values_;
  }
  int commits() const {
    std::lock_guard lock(mutex_);
    return commits_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::int64_t> values_;
  int commits_ = 0;
};

TEST_P(EngineContract, ObserverHearsBeforeTheCommitterResumes) {
  Listener listener;
  on_engine([&listener](MetaEngine& e) -> asio::awaitable<void> {
    e.observe(&listener);
    for (int i = 1; i <= 20; ++i) {
      co_await put(e, {AddCounter{Counter::used_space, 1}});
      EXPECT_EQ(listener.commits(), i);
      EXPECT_EQ(listener.values().back(), i);
    }
    auto refused = co_await commit(e, {AttrUnchanged{Ino{5}, {}, 0}}, {AddCounter{Counter::next_inode, 1}});
    EXPECT_FALSE(refused.applied);
    auto asked = co_await commit(e, {AttrAbsent{Ino{5}}}, {});
    EXPECT_TRUE(asked.applied);
    EXPECT_EQ(listener.commits(), 20) << "nothing changed";
  });
}

TEST_P(EngineContract, ObserverHearsInCommitOrder) {
  Listener listener;
  Runtime::Options options;
  options.loops = 2;
  options.pin = false;
  Runtime runtime(options);  // outlives the engine and its threads, which post to it
  runtime.start();
  auto stage = GetParam().open();
  stage.engine->observe(&listener);
  EXPECT_TRUE(runtime.wait(stage.engine->prepare()));
  constexpr int kEach = 200;
  auto work = [&engine = *stage.engine]() -> asio::awaitable<void> {
    for (int i = 0; i < kEach; ++i) co_await put(engine, {AddCounter{Counter::used_space, 1}});
  };
  std::thread other([&] { test::run(work); });
  runtime.wait(work());
  other.join();
  auto values = listener.values();
  ASSERT_EQ(values.size(), 2u * kEach);
  if (!stage.engine->sequential()) std::sort(values.begin(), values.end());  // across loops
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<std::int64_t>(i) + 1);
  runtime.wait(stage.engine->close());
}

}  // namespace
}  // namespace kiseki::meta
