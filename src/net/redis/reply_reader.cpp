#include "net/redis/reply_reader.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <new>
#include <utility>

namespace kiseki::net::redis {
namespace {

/// Where hiredis builds the current reply: our tree instead of its own, so that nothing is copied twice and its size
/// has a bound. Elements are added as they come; an announced length reserves little.
struct Builder {
  Reply root;
  std::size_t elements = 0, most_elements = 0;
  bool too_many = false;

  /// The place of the value that `task` is about; nullptr is "out of memory" to hiredis and ends the stream.
  Reply* place(const redisReadTask& task) {
    if (++elements > most_elements) {
      too_many = true;
      return nullptr;
    }
    if (!task.parent) return &(root = Reply());
    return &static_cast<Reply*>(task.parent->obj)->elements.emplace_back();
  }
};

Builder& builder_of(const redisReadTask* task) { return *static_cast<Builder*>(task->privdata); }

void* make_text(const redisReadTask* task, char* text, std::size_t size) {
  auto* reply = builder_of(task).place(*task);
  if (!reply) return nullptr;
  reply->kind = task->type == REDIS_REPLY_STATUS  ? Reply::Kind::status
                : task->type == REDIS_REPLY_ERROR ? Reply::Kind::error
                                                  : Reply::Kind::bulk;
  reply->text.assign(text, size);
  return reply;
}

template <class Count>  // int in hiredis 0.14, size_t later
void* make_array(const redisReadTask* task, Count count) {
  auto* reply = builder_of(task).place(*task);
  if (!reply) return nullptr;
  reply->kind = Reply::Kind::array;
  reply->elements.reserve(std::min<std::size_t>(static_cast<std::size_t>(count), 1024));
  return reply;
}

void* make_integer(const redisReadTask* task, long long value) {
  auto* reply = builder_of(task).place(*task);
  if (!reply) return nullptr;
  reply->kind = Reply::Kind::integer;
  reply->integer = value;
  return reply;
}

void* make_nil(const redisReadTask* task) { return builder_of(task).place(*task); }

redisReplyObjectFunctions& functions() {
  static redisReplyObjectFunctions table = [] {
    redisReplyObjectFunctions out{};
    out.createString = make_text;
    out.createArray = make_array;
    out.createInteger = make_integer;
    out.createNil = make_nil;
    out.freeObject = [](void*) {};  // the builder owns it
    return out;
  }();
  return table;
}

}  // namespace

struct ReplyReader::State {
  explicit State(Limits l) : limits(l), reader(::redisReaderCreateWithFunctions(&functions())) {
    if (!reader) throw std::bad_alloc();
    reader->privdata = &builder;
    builder.most_elements = limits.elements;
  }
  ~State() { ::redisReaderFree(reader); }
  State(const State&) = delete;

  bool fail(std::string why) {
    if (error.empty()) error = std::move(why);
    return false;
  }

  const Limits limits;
  Builder builder;
  redisReader* reader;
  std::string error;
};

ReplyReader::ReplyReader() : ReplyReader(Limits()) {}
ReplyReader::ReplyReader(Limits limits) : state_(std::make_unique<State>(limits)) {}
ReplyReader::~ReplyReader() = default;

bool ReplyReader::feed(std::span<const char> bytes) {
  auto& reader = *state_->reader;
  if (!state_->error.empty()) return false;
  if (reader.len - reader.pos + bytes.size() > state_->limits.bytes) return state_->fail("a reply is too large");
  if (::redisReaderFeed(&reader, bytes.data(), bytes.size()) == REDIS_OK) return true;
  return state_->fail(reader.errstr);
}

ReplyReader::Got ReplyReader::next(Reply& out) {
  if (!state_->error.empty()) return Got::broken;
  void* whole = nullptr;
  if (::redisReaderGetReply(state_->reader, &whole) != REDIS_OK) {
    state_->fail(state_->builder.too_many ? "a reply has too many elements" : state_->reader->errstr);
    return Got::broken;
  }
  if (!whole) return Got::more;
  out = std::move(state_->builder.root);
  state_->builder.elements = 0;
  return Got::reply;
}

const std::string& ReplyReader::error() const { return state_->error; }

}  // namespace kiseki::net::redis
