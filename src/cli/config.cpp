#include <fmt/format.h>

#include <cstdio>
#include <iostream>

#include "cli/config_changes.hpp"
#include "cli/locations.hpp"
#include "cli/meta_access.hpp"
#include "cli/settings.hpp"
#include "cli/storage_check.hpp"
#include "core/log.hpp"
#include "meta/ops.hpp"
#include "meta/volume_format.hpp"

namespace kiseki::cli {
namespace {

/// No answer is no.
bool asks_and_agrees() {
  std::fputs("Proceed anyway? [y/N]: ", stdout);
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

Try<void> add_usage_risks(MetaAccess& meta, const meta::Format& now, ConfigChanges& changes) {
  bool limits = changes.wanted.capacity != now.capacity || changes.wanted.inodes != now.inodes;
  if (!limits) return boost::system::in_place_value;
  auto usage = meta.runtime().wait(meta::usage(meta.client(now)));
  if (!usage) return failure("cannot read the volume's usage", usage.error());
  if (changes.wanted.capacity && changes.wanted.capacity < usage->used_bytes) {
    changes.risks.push_back(fmt::format("the new capacity is less than the {} bytes in use", usage->used_bytes));
  }
  if (changes.wanted.inodes && changes.wanted.inodes < usage->used_inodes) {
    changes.risks.push_back(fmt::format("the new limit is less than the {} inodes in use", usage->used_inodes));
  }
  return boost::system::in_place_value;
}

Try<void> refuse_dropping_stats(MetaAccess& meta, const meta::Format& now, const meta::Format& wanted) {
  if (!now.dir_stats || wanted.dir_stats) return boost::system::in_place_value;
  auto quotas = meta.runtime().wait(meta.engine().scan_quotas());
  if (!quotas) return failure("cannot read the volume's quotas", quotas.error());
  for (const auto& [key, quota] : *quotas) {
    if (key.kind == meta::QuotaKind::directory) {
      return Failure{Exit::failed,
                     "--dir-stats: cannot be switched off while directories have quotas; delete those first"};
    }
  }
  return boost::system::in_place_value;
}

Try<void> test_new_storage(MetaAccess& meta, const ConfigChanges& changes) {
  if (!changes.storage_changed) return boost::system::in_place_value;
  TRY(auto store, open_volume_store(changes.wanted, meta.runtime()));
  return meta.runtime().wait(test_store(*store));
}

Try<int> apply(const Settings& settings, MetaAccess& meta, const meta::Format& now, ConfigChanges changes) {
  TRY_CHECK(refuse_dropping_stats(meta, now, changes.wanted));
  TRY_CHECK(add_usage_risks(meta, now, changes));
  bool quiet = settings.on("yes") || settings.on("force");
  if (!settings.on("force")) TRY_CHECK(test_new_storage(meta, changes));
  for (const auto& line : changes.lines) fmt::print("{}\n", line);
  for (const auto& risk : changes.risks) fmt::print("WARNING: {}\n", risk);
  if (!changes.risks.empty() && !quiet && !asks_and_agrees()) return Failure{Exit::failed, "Aborted."};
  auto done = meta.runtime().wait(meta::format_volume(meta.engine(), std::move(changes.wanted), meta.clock()));
  if (!done) return as_failure(done.error());
  return 0;
}

}  // namespace

Try<int> run_config(const Settings& settings) {
  TRY(auto url, absolute_meta_url(settings.arguments()[0]));
  TRY(auto meta, MetaAccess::open(url, meta::OpenMode::existing));
  TRY(auto now, meta->read_format(meta::Versions::any));  // --max-client-version may have shut us out: this undoes it
  TRY(auto changes, config_changes(settings, now));
  if (!changes.asked) {
    fmt::print("{}\n", now.redacted().to_json());
    return 0;
  }
  if (changes.lines.empty()) {
    std::puts("Nothing changed.");
    return 0;
  }
  return apply(settings, *meta, now, std::move(changes));
}

}  // namespace kiseki::cli
