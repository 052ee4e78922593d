#include "net/redis/request.hpp"

namespace kiseki::net::redis {
namespace {

bool forgot_script(const Reply& reply) { return reply.error_prefix() == "NOSCRIPT"; }

}  // namespace

std::size_t Request::append_to(std::string& out) const {
  auto before = out.size();
  std::size_t first = 0;
  for (std::size_t nth = 0; nth < sent_commands(); ++nth) {
    const auto& command = commands[index(nth)];
    if (!with_bodies || !command.append_with_body_to(out)) command.append_to(out);
    if (nth == 0) first = out.size() - before;
  }
  return first;
}

Verdict judge(Request& request, const Reply*& refusal) {
  std::vector<std::uint32_t> forgotten;
  std::size_t refused = 0;
  auto judged = request.replies.size() - (request.waits ? 1 : 0);
  for (std::uint32_t i = 0; i < judged; ++i) {
    const auto& reply = request.replies[i];
    if (!reply.is_error()) continue;
    if (forgot_script(reply)) forgotten.push_back(i);
    if (meaning_of(reply) != Errc::refused) continue;
    if (++refused == 1) refusal = &reply;
  }
  if (!forgotten.empty() && !request.with_bodies) {
    if (request.waits) forgotten.clear();  // all of it
    request.restart(std::move(forgotten), true);
    return Verdict::bodies;
  }
  auto nothing_ran = refused == judged;
  if (refused == 0 || (!nothing_ran && request.resend == Resend::never)) return Verdict::done;
  request.restart({}, request.with_bodies);
  return Verdict::later;
}

}  // namespace kiseki::net::redis
