// kiseki_redis_proxy SERVER-PORT [PORT]: the proxy of tests/support/redis_proxy.hpp for tests in other languages.
// Says "port N", then obeys lines on standard input and answers each with one line: "ok", or a number.
//   trips | connections | cuts | delay MICROSECONDS | stall MILLISECONDS | partition on|off | loss PERCENT | reset
//   cut reply MARK [TIMES] | cut request MARK [TIMES] | hold MARK | held | release
// Ends when standard input does.
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "support/redis_proxy.hpp"

namespace {

using kiseki::test::RedisProxy;

std::string obey(RedisProxy& proxy, std::istringstream line) {
  std::string word, rest;
  line >> word;
  if (word == "trips") return std::to_string(proxy.round_trips());
  if (word == "connections") return std::to_string(proxy.connections());
  if (word == "cuts") return std::to_string(proxy.cuts());
  if (word == "held") return std::to_string(proxy.held());
  line >> rest;
  auto number = std::atol(rest.c_str());
  if (word == "delay") {
    proxy.delay(std::chrono::microseconds(number));
  } else if (word == "stall") {
    proxy.stall(std::chrono::milliseconds(number));
  } else if (word == "partition") {
    proxy.partition(rest == "on");
  } else if (word == "loss") {
    proxy.loss(static_cast<double>(number) / 100);
  } else if (word == "reset") {
    proxy.reset_all();
  } else if (word == "hold") {
    proxy.hold(rest, std::chrono::hours(1));
  } else if (word == "release") {
    proxy.release();
  } else if (word == "cut") {
    std::string mark;
    int times = 1;
    line >> mark >> times;
    proxy.cut(rest == "reply" ? RedisProxy::Cut::reply : RedisProxy::Cut::request, mark, times > 0 ? times : 1);
  } else {
    return "unknown: " + word;
  }
  return "ok";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  auto port = [](const char* text) { return static_cast<std::uint16_t>(std::atoi(text)); };
  RedisProxy proxy(port(argv[1]), argc > 2 ? port(argv[2]) : std::uint16_t{0});
  std::cout << "port " << proxy.port() << std::endl;
  for (std::string line; std::getline(std::cin, line);) std::cout << obey(proxy, std::istringstream(line)) << std::endl;
}
