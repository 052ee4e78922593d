#include "fuse/device_wait.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

namespace kiseki::fuse {
namespace {

namespace asio = boost::asio;

// Every request wakes the loops of all clones, and whichever is on the application's CPU has read it before the others
// are there. Exclusive waits (EPOLLEXCLUSIVE on io_uring), which wake only one, were tried: they wake the loop that has
// waited longest, on another CPU as often as not, and a stat took three times as long.
class DescriptorWait final : public DeviceWait {
 public:
  DescriptorWait(asio::io_context& loop, int device) : descriptor_(loop, device) {}
  ~DescriptorWait() override { descriptor_.release(); }
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
  return std::make_unique<DescriptorWait>(loop, device);
}

}  // namespace kiseki::fuse
