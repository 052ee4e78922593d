#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <system_error>

namespace kiseki::fuse {

class ReadableHandler {
 public:
  virtual ~ReadableHandler() = default;
  virtual void readable(std::error_code error) = 0;
};

/// Waits until a descriptor can be read, again and again, without allocating. Runs on its loop.
class DeviceWait {
 public:
  virtual ~DeviceWait() = default;
  virtual void arm(ReadableHandler& handler) = 0;  ///< once per wait; the handler is called once, later, on the loop
  virtual void cancel() = 0;                       ///< the armed handler is called soon, with an error
};

/// The descriptor stays the caller's and must outlive the wait.
std::unique_ptr<DeviceWait> make_device_wait(boost::asio::io_context& loop, int device);

}  // namespace kiseki::fuse
