#include "meta/sqlite/caller.hpp"

#include <boost/asio/post.hpp>

namespace kiseki::meta::sqlite {

void Caller::resume(const std::vector<Caller*>& callers) {
  struct Group {
    asio::any_io_executor home;
    std::vector<Handler> handlers;
  };
  std::vector<Group> groups;  // as many as there are loops
  for (auto* caller : callers) {
    auto home = std::exchange(caller->work_, {});
    auto handler = std::move(*caller->handler_);
    caller->handler_.reset();
    auto group = groups.begin();
    while (group != groups.end() && group->home != home) ++group;
    if (group == groups.end()) group = groups.insert(group, Group{std::move(home), {}});
    group->handlers.push_back(std::move(handler));
  }
  for (auto& group : groups)
    asio::post(group.home, [handlers = std::move(group.handlers)]() mutable {
      for (auto& handler : handlers) std::move(handler)();
    });
}

}  // namespace kiseki::meta::sqlite
