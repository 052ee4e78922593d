#include "meta/sqlite/readers.hpp"

#include "core/log.hpp"

namespace kiseki::meta::sqlite {
namespace {

constexpr std::size_t kTogether = 64;  ///< requests in one snapshot: a long scan keeps few others waiting

}  // namespace

Readers::Readers(BlockingPool& pool, std::vector<std::unique_ptr<Connection>> connections, Coherence& coherence)
    : pool_(pool), coherence_(coherence), connections_(std::move(connections)) {
  for (auto& connection : connections_) idle_.push_back(connection.get());
}

void Readers::enqueue(Pending& pending) {
  Connection* db = nullptr;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(&pending);
    if (!idle_.empty()) {
      db = idle_.back();
      idle_.pop_back();
    }
  }
  if (db) pool_.submit([this, db] { drain(*db); });
}

void Readers::drain(Connection& db) {
  std::vector<Pending*> batch;
  for (;;) {
    batch.clear();
    {
      std::lock_guard lock(mutex_);
      while (!queue_.empty() && batch.size() < kTogether) {
        batch.push_back(queue_.front());
        queue_.pop_front();
      }
      if (batch.empty()) {
        idle_.push_back(&db);
        all_idle_.notify_all();
        return;
      }
    }
    coherence_.refresh();
    serve(db, batch);
    detail::Inbox::Round round;
    for (auto* pending : batch) round.add(pending->caller);
  }
}

void Readers::serve(Connection& db, const std::vector<Pending*>& batch) {
  for (auto* pending : batch) try {
      if (!db.in_transaction()) db.run(Sql::begin_read).done();  // at first, and after an error that ended it
      pending->job(db);
    } catch (const SqlError& error) {
      pending->error = to_error(error.code);
      log::error("meta.sqlite.read", {{"code", error.code}, {"error", error.message}});
    }
  db.rollback();
}

void Readers::stop() {
  std::unique_lock lock(mutex_);
  all_idle_.wait(lock, [this] { return idle_.size() == connections_.size(); });
  idle_.clear();
  connections_.clear();
}

}  // namespace kiseki::meta::sqlite
