#include "fuse/device_wait.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

namespace kiseki::fuse {
namespace {

namespace asio = boost::asio;

class PlainWait final : public DeviceWait {
 public:
  PlainWait(asio::io_context& loop, int device) : descriptor_(loop, device) {}
  ~PlainWait() override { descriptor_.release(); }
  void arm(ReadableHandler& handler) override {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [&handler](boost::system::error_code ec) { handler.readable(ec); });
  }
  void cancel() override {
    boost::system::error_code ignored;
    descriptor_.cancel(ignored);
  }

 private:
  asio::posix::stream_descriptor descriptor_;
};

}  // namespace

std::unique_ptr<DeviceWait> make_device_wait(asio::io_context& loop, int device) {
  return std::make_unique<PlainWait>(loop, device);
}

}  // namespace kiseki::fuse
