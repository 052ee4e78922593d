#pragma once

#include <boost/container/deque.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "meta/client.hpp"

namespace kiseki::meta {

/// One try of an operation: it loads what it needs (from the client's cache, the rest in one round trip), decides, and
/// collects checks and writes that are committed together. What is loaded is not checked by itself: the body names the
/// fields its decision hangs on. Reads see the transaction's own changes of attributes. One coroutine at a time.
class Txn {
 public:
  /// `fresh`: nothing is believed from the cache (a retry after it misled us).
  Txn(Client& client, bool fresh) : client_(client), fresh_(fresh) {}
  Txn(const Txn&) = delete;

  Client& client() { return client_; }

  // ---- reading ----
  /// Makes these records known; what is missing is fetched in one round trip. Must be awaited before they are read. A
  /// ChildKey stands behind its EntryKey; the attribute is then known by its inode.
  Async<void> load(Keys keys);
  Async<void> load(Key key);
  /// The same, but the cache is only asked when it is certainly right: for what no check of the commit can validate.
  Async<void> load_certain(Keys keys);
  // What these point to stays there until the transaction ends or begins anew.
  /// Null: no such inode.
  const Attr* attr(Ino ino) const;
  /// Null: no such name.
  const Entry* entry(Ino parent, std::string_view name) const;
  /// Any other record; null when absent.
  template <class T>
  const T* get(const Key& key) const {
    return std::get_if<T>(&record(key));
  }
  template <class T>
  T get_or(const Key& key, T fallback) const {
    auto* found = get<T>(key);
    return found ? *found : fallback;
  }

  // ---- what must still hold at the commit ----
  void check_attr(Ino ino, std::uint32_t fields);
  /// The name still stands for what was read (or for nothing).
  void check_entry(Ino parent, std::string_view name);
  /// Any other record is as it was read.
  void check(const Key& key);
  void check(Check condition) { checks_.push_back(std::move(condition)); }
  /// When at the commit nothing but such a condition fails, it is the answer: `error`.
  void require(Check condition, int error) { required_.emplace_back(std::move(condition), error); }

  // ---- what then happens ----
  /// Sets fields of a loaded inode. Several patches of one inode become one.
  void patch(Ino ino, std::uint32_t set, const Attr& to, std::int32_t add_nlink = 0);
  void write(Write write) { writes_.push_back(std::move(write)); }
  /// Where the commit's returned values go.
  void returned_to(std::vector<std::int64_t>& values) { returned_ = &values; }

  // ---- for transact ----
  bool believed_cache() const { return believed_cache_; }
  bool writes_nothing() const;
  Keys loaded() const;
  enum class Verdict { applied, differs };
  /// Errors: those of the engine, or of the one required condition that failed.
  Async<Verdict> commit();

 private:
  struct AttrRead {
    Ino ino;
    std::optional<Attr> seen, now;
    std::uint32_t checked = 0, set = 0;
    std::int32_t add_nlink = 0;
  };
  struct EntryRead {
    Ino parent;
    std::string name;
    std::optional<Entry> seen;
    bool checked = false;
  };
  struct OtherRead {
    Key key;
    Record seen;
  };
  bool known(const Key& key) const;
  Async<void> load(Keys keys, bool certain);
  bool take_from_cache(const Key& key, bool certain);
  std::optional<Key> without_name(const ChildKey& key) const;
  void remember(const Key& key, Record record);
  AttrRead* find(Ino ino);
  const EntryRead* find(Ino parent, std::string_view name) const;
  const AttrRead* find(Ino ino) const { return const_cast<Txn*>(this)->find(ino); }
  const Record& record(const Key& key) const;
  Commit build();

  Client& client_;
  const bool fresh_;
  bool believed_cache_ = false;
  template <class T>
  using Kept = boost::container::deque<T>;  // what was read stays where it is while more is loaded
  Kept<AttrRead> attrs_;
  Kept<EntryRead> entries_;
  Kept<OtherRead> others_;
  std::vector<Check> checks_;
  std::vector<std::pair<Check, int>> required_;
  std::vector<Write> writes_;
  std::vector<std::int64_t>* returned_ = nullptr;
};

/// Decides what becomes of a try; shared by all instances of `transact`.
class Retries {
 public:
  bool fresh() const { return tries_ > 0; }
  /// Reads in one round trip what the previous try used.
  Async<void> prepare(Txn& txn);
  enum class Next { answer, again };
  /// `failed`: what the body answered, if not success.
  Async<Next> conclude(Txn& txn, std::error_code failed);

 private:
  Async<Next> another(Txn& txn, bool wait);

  static constexpr int kTries = 50;
  int tries_ = 0;
  Keys keys_;
};

/// Runs `body` (Txn& → Async<T>), commits what it collected, and on conflict runs it again from the top with everything
/// read anew: it must not add to outside state. What it answers without writing (ENOENT, EEXIST, success) counts only
/// if all it read was certain. Errors: the body's; EAGAIN after 50 conflicts; ECANCELED when cancelled while backing
/// off.
template <class T, class Body>
Async<T> transact(Client& client, Body body) {
  Retries retries;
  for (;;) {
    Txn txn(client, retries.fresh());
    CO_CHECK(co_await retries.prepare(txn));
    Result<T> answer = co_await body(txn);
    CO_TRY(auto next, co_await retries.conclude(txn, answer ? std::error_code() : answer.error()));
    if (next == Retries::Next::answer) co_return answer;
  }
}

inline Result<void> done() { return {}; }

}  // namespace kiseki::meta
