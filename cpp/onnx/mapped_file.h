#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "tensor/buffer.h"

namespace fastort {

// The file's contents, mapped for reading into memory that is private to the process. Throws Error(NoSuchFile) where
// there is no such file, Error(Fail) where it cannot be read.
std::shared_ptr<Buffer> map_file(const std::string& path);

// Zeros that take no memory until they are written.
std::shared_ptr<Buffer> zero_pages(size_t bytes);

}  // namespace fastort
