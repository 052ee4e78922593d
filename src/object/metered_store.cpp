#include "object/metered_store.hpp"

namespace kiseki::object {

namespace {

/// Measures one request from construction until `end`; a request that never ends (cancelled) counts as failed.
class Measurement {
 public:
  Measurement(RequestMeter& meter, Method method) : meter_(meter), method_(method) {
    if (method_ == Method::put) meter_.upload_started();
  }
  ~Measurement() {
    if (method_ == Method::put) meter_.upload_ended();
    meter_.finished(method_, std::chrono::steady_clock::now() - begun_, bytes_, failed_);
  }
  Measurement(const Measurement&) = delete;
  void end(std::error_code error, std::uint64_t bytes = 0) {
    failed_ = error && error != make_error_code(ObjectErrc::not_found);
    bytes_ = error ? 0 : bytes;
  }

 private:
  RequestMeter& meter_;
  Method method_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::uint64_t bytes_ = 0;
  bool failed_ = true;
};

template <class T>
std::error_code error_of(const Result<T>& result) {
  return result ? std::error_code() : result.error();
}

}  // namespace

Async<std::size_t> MeteredStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  Measurement measured(*meter_, Method::get);
  auto got = co_await inner_->get(std::move(key), offset, into);
  measured.end(error_of(got), got ? *got : 0);
  co_return got;
}

Async<void> MeteredStore::put(ObjectKey key, Body body) {
  Measurement measured(*meter_, Method::put);
  auto size = body.size();
  auto done = co_await inner_->put(std::move(key), std::move(body));
  measured.end(error_of(done), size);
  co_return done;
}

Async<void> MeteredStore::remove(ObjectKey key) {
  Measurement measured(*meter_, Method::remove);
  auto done = co_await inner_->remove(std::move(key));
  measured.end(error_of(done));
  co_return done;
}

Async<void> MeteredStore::remove_all(std::vector<ObjectKey> keys) {
  Measurement measured(*meter_, Method::remove);
  auto done = co_await inner_->remove_all(std::move(keys));
  measured.end(error_of(done));
  co_return done;
}

Async<ObjectInfo> MeteredStore::head(ObjectKey key) {
  Measurement measured(*meter_, Method::head);
  auto info = co_await inner_->head(std::move(key));
  measured.end(error_of(info));
  co_return info;
}

Async<ObjectPage> MeteredStore::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  Measurement measured(*meter_, Method::list);
  auto page = co_await inner_->list(std::move(prefix), std::move(after), limit, std::move(delimiter));
  measured.end(error_of(page));
  co_return page;
}

}  // namespace kiseki::object
