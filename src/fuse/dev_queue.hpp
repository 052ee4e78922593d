#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "fuse/transport.hpp"
#include "fuse/unique_fd.hpp"

namespace kiseki::fuse {

struct DevQueueLimits {
  std::size_t max_write = 1u << 20;
  unsigned write_buffers = 8;           ///< buffers of big requests that are kept
  std::size_t write_bytes = 32u << 20;  ///< big requests in hand: beyond this nothing is read
  unsigned requests = 2048;             ///< requests in hand, lock waits not counted
};

/// A queue on read(2) and writev(2) of /dev/fuse (or any descriptor that keeps messages apart, for tests).
std::unique_ptr<Queue> make_dev_queue(asio::io_context& loop, UniqueFd device, DevQueueLimits limits);

/// Another descriptor of the same connection: all of them read from one queue, but a request belongs to the one that
/// read it, which alone can answer it. A plain duplicate where the device cannot. Non-blocking. Errors: those of
/// open(2) on /dev/fuse are passed over; those of dup(2).
Result<UniqueFd> clone_device(int device);

}  // namespace kiseki::fuse
