#pragma once

#include <cstddef>
#include <memory>

#include "tensor/buffer.h"

namespace fastort {

// Memory for packed weights. Large ones are mapped by themselves, beginning with a page of 2 MB, and given back at
// once. `huge_pages`: such pages are asked for before the first touch; otherwise the weights lie in small ones at
// first, and `settle_weights` leaves it to the system to replace them over time. Only Linux has such pages.
std::shared_ptr<Buffer> allocate_weights(size_t bytes, bool huge_pages);
// Once they are written.
void settle_weights(const Buffer& weights);

}  // namespace fastort
