#include "meta/redis/key_names.hpp"

#include <charconv>

#include "core/numbers.hpp"

namespace kiseki::meta::redis {
namespace {

std::optional<std::uint64_t> number(std::string_view text) { return whole_number<std::uint64_t>(text); }

}  // namespace

std::string KeyNames::numbered(std::string_view kind, std::uint64_t number, bool prefixed) const {
  std::string name = prefixed ? prefix_ : std::string();
  name += kind;
  char digits[20];
  name.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  return name;
}

std::string KeyNames::counter(Counter which) const {
  switch (which) {
    case Counter::next_inode:
      return named("nextinode");
    case Counter::next_slice:
      return named("nextchunk");
    case Counter::next_session:
      return named("nextsession");
    case Counter::used_space:
      return named("usedSpace");
    case Counter::total_inodes:
      return named("totalInodes");
    case Counter::next_trash:
      return named("nextTrash");
    case Counter::last_cleanup_sessions:
      return named("lastCleanupSessions");
    case Counter::last_cleanup_files:
      return named("lastCleanupFiles");
    case Counter::last_cleanup_trash:
      return named("lastCleanupTrash");
    case Counter::last_cleanup_slices:
      return named("nextCleanupSlices");  // the time of the last run, despite its name
  }
  return named("");
}

KeyNames::QuotaNames KeyNames::quotas(QuotaKind kind) const {
  std::string base = kind == QuotaKind::directory ? "dirQuota" : kind == QuotaKind::user ? "userQuota" : "groupQuota";
  return {named(base), named(base + "UsedSpace"), named(base + "UsedInodes")};
}

std::optional<Ino> KeyNames::inode_of_lock(std::string_view key, std::string_view kind) const {
  if (!key.starts_with(prefix_)) return std::nullopt;
  key.remove_prefix(prefix_.size());
  if (!key.starts_with(kind)) return std::nullopt;
  auto ino = number(key.substr(kind.size()));
  return ino ? std::optional(Ino{*ino}) : std::nullopt;
}

void KeyNames::tell(std::string_view key, ChangeObserver& observer) const {
  if (!key.starts_with(prefix_) || key.size() < prefix_.size() + 2) return;
  if (auto ino = inode_of_lock(key, "lockf")) return observer.changed_elsewhere(FileLocksKey{*ino});
  if (auto ino = inode_of_lock(key, "lockp")) return observer.changed_elsewhere(RangeLocksKey{*ino});
  key.remove_prefix(prefix_.size());
  auto rest = key.substr(1);
  auto cut = key[0] == 'c' ? rest.find('_') : rest.npos;
  auto ino = number(rest.substr(0, cut));
  if (!ino) return;
  switch (key[0]) {
    case 'i':
      return observer.changed_elsewhere(AttrKey{Ino{*ino}});
    case 'd':
      return observer.entries_changed_elsewhere(Ino{*ino});
    case 'x':
      return observer.changed_elsewhere(XattrsKey{Ino{*ino}});
    case 's':
      return observer.changed_elsewhere(SymlinkKey{Ino{*ino}});
    case 'c':
      if (auto index = cut == rest.npos ? std::nullopt : number(rest.substr(cut + 1)))
        observer.changed_elsewhere(ChunkKey{Ino{*ino}, ChunkIndex{static_cast<std::uint32_t>(*index)}});
      return;
    default:
      return;
  }
}

}  // namespace kiseki::meta::redis
