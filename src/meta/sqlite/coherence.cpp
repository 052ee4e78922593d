#include "meta/sqlite/coherence.hpp"

namespace kiseki::meta::sqlite {

void Coherence::refresh() noexcept {
  if (!watch_.usable() || watch_.trusted()) return;
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;  // our own writer is about to publish
  auto now = watch_.read();
  if (watch_.trusted()) return;
  if (observer_) observer_->everything_may_have_changed();
  watch_.trust(now);
}

Coherence::Change::Change(Coherence& coherence) : coherence_(coherence), lock_(coherence.mutex_) {
  if (!coherence_.watch_.usable()) return;
  before_ = coherence_.watch_.read();
  foreign_ = !coherence_.watch_.trusted();
}

WalHeader Coherence::Change::note() const noexcept {
  return coherence_.watch_.usable() ? coherence_.watch_.read() : WalHeader{};
}

std::optional<WalHeader> Coherence::Change::begins_at() const noexcept {
  return coherence_.watch_.usable() ? std::optional(before_) : std::nullopt;
}

std::optional<WalHeader> Coherence::Change::publish(const WalHeader& after) noexcept {
  if (!coherence_.watch_.usable()) return std::nullopt;
  // Each commit that changes a page adds one to the counter; a second step is someone else's, who came before we read.
  bool last_is_ours = after == before_ || after.transactions() == before_.transactions() + 1;
  if ((foreign_ || !last_is_ours) && coherence_.observer_) coherence_.observer_->everything_may_have_changed();
  coherence_.watch_.trust(after);
  return last_is_ours ? std::optional(after) : std::nullopt;
}

}  // namespace kiseki::meta::sqlite
