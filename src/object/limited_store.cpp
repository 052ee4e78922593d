#include "object/limited_store.hpp"

namespace kiseki::object {

Async<std::size_t> LimitedStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  auto permit = co_await downloads_.acquire();
  co_return co_await inner_->get(std::move(key), offset, into);
}

Async<void> LimitedStore::put(ObjectKey key, Body body) {
  auto permit = co_await uploads_.acquire();
  co_return co_await inner_->put(std::move(key), std::move(body));
}

}  // namespace kiseki::object
