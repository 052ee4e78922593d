#include "meta/redis/fetch_gather.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "core/guard.hpp"
#include "core/log.hpp"
#include "core/waiter.hpp"
#include "meta/redis/fetch_plan.hpp"
#include "meta/redis/scripts.hpp"

namespace kiseki::meta::redis {

using net::redis::Command;
using net::redis::Commands;
using net::redis::Reply;

namespace {

constexpr std::size_t kAtOnce = 512;  // keys of one command: more would hold up the server's other clients

const EntryKey* name_of(const Keys& keys) { return std::get_if<EntryKey>(&keys.front()); }

}  // namespace

struct FetchGather::Caller {
  explicit Caller(Keys k) : keys(std::move(k)) {}
  const Keys keys;
  detail::Waiter waiter;
  std::optional<Result<Records>> answer;  ///< none: ask alone

  void end() {
    if (waiter.claim()) waiter.resume(true);
  }
};

/// The commands for what several callers want, and who gets which part of each reply.
class FetchGather::Questions {
 public:
  Questions(const KeyNames& names, const Callers& callers) : names_(names) {
    for (auto& caller : callers) place_for(*caller).callers.push_back(caller.get());
  }

  Commands commands() const {
    Commands all;
    for (auto& question : questions_) all.push_back(question.parent ? look_up(question) : attributes(question));
    return all;
  }

  void answer(const net::redis::Replies& replies) {
    for (std::size_t i = 0; i < questions_.size(); ++i) {
      auto& question = questions_[i];
      std::size_t at = 0;
      auto failure = replies[i].is_error() ? error_of(replies[i]) : std::error_code();
      for (auto* caller : question.callers) {
        caller->answer = failure ? Result<Records>(failure) : records(question, *caller, replies[i], at);
        at += question.parent ? 1 : caller->keys.size();
      }
    }
  }

 private:
  struct Question {
    std::optional<Ino> parent;  ///< look-ups there; else attributes
    std::size_t keys = 0;
    std::vector<Caller*> callers{};
  };

  Question& place_for(const Caller& caller) {
    auto* name = name_of(caller.keys);
    auto parent = name ? std::optional(name->parent) : std::nullopt;
    auto size = name ? 1 : caller.keys.size();
    auto fits = [&](const Question& one) { return one.parent == parent && one.keys + size <= kAtOnce; };
    auto found = std::find_if(questions_.begin(), questions_.end(), fits);
    auto& place = found != questions_.end() ? *found : questions_.emplace_back(Question{parent});
    place.keys += size;
    return place;
  }

  Command attributes(const Question& question) const {
    Command command(question.keys == 1 ? "GET" : "MGET");
    for (auto* caller : question.callers)
      for (auto& key : caller->keys) command.add(names_.attr(std::get<AttrKey>(key).ino));
    return command;
  }

  Command look_up(const Question& question) const {
    net::redis::Strings keys{names_.entries(*question.parent)}, args{names_.attrs()};
    args.reserve(question.keys + 1);
    for (auto* caller : question.callers) args.push_back(name_of(caller->keys)->name);
    return Command::eval(look_up_script(), keys, args);
  }

  Result<Records> records(const Question& question, const Caller& caller, const Reply& reply, std::size_t at) const {
    bool single = !question.parent && question.keys == 1;
    auto values = question.parent ? 2 * question.keys : question.keys;
    if (!single && (!reply.is_array() || reply.elements.size() != values)) {
      log::error("meta.redis.reply", {{"why", "not as many values as were asked for"}});
      return posix(EIO);
    }
    Records records;
    records.reserve(caller.keys.size());
    for (std::size_t i = 0; i < caller.keys.size(); ++i) {
      auto place = question.parent ? at + i * question.keys : at + i;  // names first, then attributes
      auto record = decode_record(caller.keys[i], single ? &reply : &reply.elements[place]);
      if (!record) return corrupt(caller.keys[i]);
      records.push_back(std::move(*record));
    }
    return records;
  }

  std::error_code corrupt(const Key& key) const {
    auto* attr = std::get_if<AttrKey>(&key);
    auto* entry = std::get_if<EntryKey>(&key);
    auto* child = std::get_if<ChildKey>(&key);
    log::error("meta.redis.corrupt",
               {{"key", attr ? names_.attr(attr->ino) : names_.entries(entry ? entry->parent : child->parent)},
                {"field", entry   ? entry->name
                          : child ? child->name
                                  : std::string()}});
    return posix(EIO);
  }

  const KeyNames& names_;
  std::vector<Question> questions_;
};

bool FetchGather::takes(const Keys& keys) {
  auto is_attr = [](const Key& key) { return std::holds_alternative<AttrKey>(key); };
  if (keys.empty() || keys.size() > kAtOnce) return false;
  if (std::all_of(keys.begin(), keys.end(), is_attr)) return true;
  auto* entry = name_of(keys);
  auto* child = keys.size() == 2 ? std::get_if<ChildKey>(&keys[1]) : nullptr;
  return entry && child && entry->parent == child->parent && entry->name == child->name;
}

bool FetchGather::leads() {
  std::lock_guard lock(mutex_);
  return !std::exchange(open_, true);
}

void FetchGather::leave_alone(Callers& callers) {
  for (auto& caller : callers) caller->end();
  callers.clear();
}

/// Lets every coroutine that is ready in this turn of the loop join, then asks for all. However this ends, who followed
/// is told.
asio::awaitable<void> FetchGather::lead(Connected to, CallerPtr first, net::redis::Resend resend) {
  first->waiter.claim();  // it is answered here
  Callers callers;
  bool gathering = true;  // afterwards it is for the next leader to gather
  auto take = [&] {
    if (!std::exchange(gathering, false)) return;
    std::lock_guard lock(mutex_);
    open_ = false;
    callers.swap(callers_);
  };
  auto told = Guard([&] {
    take();  // if it has not come to that
    leave_alone(callers);
  });
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  take();
  callers.push_back(first);
  Questions questions(to.names, callers);
  auto replies = co_await to.client.run(questions.commands(), resend);
  if (replies)
    questions.answer(*replies);
  else if (replies.error() == posix(ECANCELED))
    first->answer = posix(ECANCELED);
  else
    for (auto& caller : callers) caller->answer = replies.error();
}

/// False: cancelled.
asio::awaitable<bool> FetchGather::follow(CallerPtr caller) {
  co_return co_await detail::park(caller->waiter, [this, caller] {
    {
      std::lock_guard lock(mutex_);
      if (open_) return callers_.push_back(caller);
    }
    caller->end();  // the leader has gone meanwhile
  });
}

Async<std::optional<Records>> FetchGather::fetch(Connected to, Keys keys, net::redis::Resend resend) {
  auto already = co_await asio::this_coro::cancellation_state;
  if (already.cancelled() != asio::cancellation_type::none) co_return posix(ECANCELED);
  auto caller = std::allocate_shared<Caller>(asio::recycling_allocator<Caller>(), std::move(keys));
  if (leads())
    co_await lead(to, caller, resend);
  else if (!co_await follow(caller))
    co_return posix(ECANCELED);
  if (!caller->answer) co_return std::optional<Records>();
  if (!*caller->answer) co_return caller->answer->error();
  co_return std::move(**caller->answer);
}

}  // namespace kiseki::meta::redis
