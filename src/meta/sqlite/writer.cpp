#include "meta/sqlite/writer.hpp"

#include <pthread.h>
#include <sched.h>

#include <random>

#include "core/log.hpp"
#include "meta/sqlite/wal_gather.hpp"

namespace kiseki::meta::sqlite {
namespace {

constexpr std::size_t kMostAtOnce = 512;  ///< commits in one SQL transaction: other processes get their turn
constexpr int kCheckpointPages = 4000;    ///< of 4 KiB in the log
constexpr int kResetPages = 32'000;       ///< so long a log is reset, even if readers must be waited for
constexpr auto kShortestPause = std::chrono::microseconds(500);
constexpr auto kLongestPause = std::chrono::microseconds(20'000);

/// Errors that would hit every commit alike, together or one by one.
bool hits_all(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_NOMEM:
    case SQLITE_BUSY:
    case SQLITE_CANTOPEN:
    case SQLITE_NOTADB:
      return true;
    default:
      return false;
  }
}

/// A CPU taken away meanwhile costs speed, nothing else.
void stay_on(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  ::pthread_setaffinity_np(::pthread_self(), sizeof one, &one);
}

int note_pages(void* pages, sqlite3*, const char*, int now) {
  *static_cast<int*>(pages) = now;
  return SQLITE_OK;
}

}  // namespace

Writer::Writer(std::unique_ptr<Connection> db, Coherence& coherence, std::chrono::milliseconds patience)
    : db_(std::move(db)), batch_(*db_), coherence_(coherence), patience_(patience) {
  sqlite3_busy_timeout(db_->handle(), 0);                    // we wait ourselves
  sqlite3_wal_hook(db_->handle(), note_pages, &wal_pages_);  // and checkpoint when nobody waits for it
  std::lock_guard lock(mutex_);
  hand_here();
}

void Writer::enqueue(Pending& pending) {
  Hand* hand = nullptr;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(&pending);
    if (std::exchange(writing_, true)) return;
    hand = &hand_here();
    hand->called = true;
  }
  hand->wake.notify_one();
}

/// Under the mutex.
Writer::Hand& Writer::hand_here() {
  int cpu = ::sched_getcpu();
  for (auto& hand : hands_)
    if (hand->cpu == cpu) return *hand;
  auto hand = std::make_unique<Hand>(cpu);
  try {
    hand->thread = std::thread([this, self = hand.get()] { work(*self); });
  } catch (const std::system_error&) {  // no more threads: the first there is writes for all
    if (hands_.empty()) throw;
    return *hands_.front();
  }
  return *hands_.emplace_back(std::move(hand));
}

void Writer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  for (auto& hand : hands_) hand->wake.notify_one();
  for (auto& hand : hands_)
    if (hand->thread.joinable()) hand->thread.join();
  if (db_) checkpoint(true);
  db_.reset();
}

void Writer::work(Hand& self) {
  pthread_setname_np(pthread_self(), "sqlite-write");
  stay_on(self.cpu);
  std::vector<Pending*> batch;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      self.wake.wait(lock, [&] { return self.called || stopping_; });
      if (!std::exchange(self.called, false)) return;
    }
    write_queue(batch);
  }
}

void Writer::write_queue(std::vector<Pending*>& batch) {
  while (take(batch)) {
    commit_all(batch);
    {
      detail::Inbox::Round round;
      for (auto* pending : batch) round.add(pending->caller);
    }
    checkpoint(false);
  }
}

/// False: nothing waits any more, and the next commit calls a hand again.
bool Writer::take(std::vector<Pending*>& batch) {
  batch.clear();
  std::lock_guard lock(mutex_);
  if (queue_.size() <= kMostAtOnce) {
    batch.swap(queue_);
  } else {
    auto end = queue_.begin() + kMostAtOnce;
    batch.assign(queue_.begin(), end);
    queue_.erase(queue_.begin(), end);
  }
  if (batch.empty()) writing_ = false;
  return !batch.empty();
}

// One SQL transaction. Nobody is resumed, and the observer is told nothing, before it is committed.
void Writer::commit_all(Commits pending) {
  try {
    execute_patiently(Sql::begin_write);
    Coherence::Change change(coherence_);
    if (auto header = change.begins_at(); !header || header != ended_at_) batch_.forget();
    ended_at_ = change.begins_at();
    batch_.begin();
    for (auto* one : pending) one->result = batch_.apply(one->commit);
    if (!batch_.wrote()) return db_->rollback();
    batch_.finish();
    execute_patiently(Sql::commit);
    ended_at_ = change.committed([&](ChangeObserver& observer) {
      for (auto* one : pending)
        if (one->result->applied && !one->commit.writes.empty()) observer.committed(one->commit, *one->result);
    });
  } catch (const SqlError& error) {
    discard_gathered(*db_);
    db_->rollback();
    batch_.forget();
    if (pending.size() > 1 && !hits_all(error.code)) return commit_each(pending);
    fail_all(pending, error);
  } catch (const LateConflict&) {
    db_->rollback();
    batch_.forget();
    if (pending.size() > 1) return commit_each(pending);
    pending.front()->result = Outcome{};
  }
}

// Something among them ends a transaction: each gets its own.
void Writer::commit_each(Commits pending) {
  for (auto& one : pending) commit_all(Commits(&one, 1));
}

void Writer::fail_all(Commits pending, const SqlError& error) {
  log::error("meta.sqlite.commit", {{"code", error.code}, {"error", error.message}, {"commits", pending.size()}});
  for (auto* one : pending) one->result = to_error(error.code);
}

// BEGIN IMMEDIATE waits for another process's write lock; COMMIT, in rollback-journal modes, for its readers.
void Writer::execute_patiently(Sql statement) {
  thread_local std::minstd_rand random(std::random_device{}());
  auto deadline = std::chrono::steady_clock::now() + patience_;
  for (auto pause = kShortestPause;; pause = std::min(pause * 2, kLongestPause)) {
    try {
      db_->run(statement).done();
      return;
    } catch (const SqlError& error) {
      if ((error.code & 0xff) != SQLITE_BUSY || std::chrono::steady_clock::now() >= deadline) throw;
    }
    std::uniform_int_distribution<std::int64_t> jittered(pause.count() / 2, pause.count());
    std::this_thread::sleep_for(std::chrono::microseconds(jittered(random)));
  }
}

void Writer::checkpoint(bool closing) {
  if (wal_pages_ < checkpoint_at_ - kCheckpointPages) checkpoint_at_ = kCheckpointPages;  // the log began anew
  if (wal_pages_ < checkpoint_at_ && !closing) return;
  checkpoint_at_ = wal_pages_ + kCheckpointPages;
  bool reset = wal_pages_ >= kResetPages && !closing;
  if (reset) sqlite3_busy_timeout(db_->handle(), 50);
  int pages = 0, copied = 0;  // what does not work now, for a reader or another writer, works next time
  sqlite3_wal_checkpoint_v2(db_->handle(), nullptr, reset ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE,
                            &pages, &copied);
  if (reset) sqlite3_busy_timeout(db_->handle(), 0);
}

}  // namespace kiseki::meta::sqlite
