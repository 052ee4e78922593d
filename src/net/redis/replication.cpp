#include "net/redis/replication.hpp"

#include <spdlog/fmt/fmt.h>

#include <utility>

#include "net/redis/errc.hpp"

namespace kiseki::net::redis {

Replication::Replication(const Address& address, Episode& lacking, Run run)
    : wanted_replicas_(address.wait_replicas),
      patience_(address.wait_timeout),
      lacking_(lacking),
      run_(std::move(run)) {}

Async<void> Replication::reached(Command proof) {
  std::shared_ptr<Round> round;
  std::size_t place = 0;
  {
    std::lock_guard lock(mutex_);
    if (closed_) co_return Errc::reply_lost;
    if (!next_) next_ = std::make_shared<Round>();
    round = next_;
    place = round->proofs.size();
    round->proofs.push_back(std::move(proof));
  }
  wanted_.notify_all();
  for (;;) {  // a round ends with the deadline of its requests at the latest
    auto ticket = round->ended.ticket();
    if (round->over) break;
    co_await round->ended.wait(ticket);
  }
  auto found =
      place < round->replies.size() && round->replies[place].is_integer() && round->replies[place].integer == 1;
  co_return found ? Result<void>{} : Result<void>(Errc::reply_lost);
}

asio::awaitable<void> Replication::run() {
  for (;;) {
    auto ticket = wanted_.ticket();
    auto round = take_next();
    if (!round) {
      co_await wanted_.wait(ticket);
      continue;
    }
    auto commands = std::move(round->proofs);
    commands.emplace_back("WAIT", wanted_replicas_, patience_.count());
    settle(*round, co_await run_(std::move(commands)));
  }
}

void Replication::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  if (auto round = take_next()) settle(*round, Errc::reply_lost);
}

std::shared_ptr<Replication::Round> Replication::take_next() {
  std::lock_guard lock(mutex_);
  return std::exchange(next_, nullptr);
}

void Replication::settle(Round& round, Result<Replies> replies) {
  if (replies && enough(replies->back())) round.replies = std::move(*replies);
  round.over = true;
  round.ended.notify_all();
}

bool Replication::enough(const Reply& said) {
  if (said.is_integer() && said.integer >= wanted_replicas_) {
    lacking_.good();
    return true;
  }
  lacking_.trouble(said.is_integer() ? fmt::format("{} of {} replicas answer", said.integer, wanted_replicas_)
                                     : said.text);
  return false;
}

}  // namespace kiseki::net::redis
