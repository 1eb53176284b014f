#pragma once

#include <map>
#include <memory>
#include <string>

#include "tensor/buffer.h"

namespace fastort {

// The files beside a model that hold weights, each mapped once.
class ExternalFiles {
 public:
  ExternalFiles(std::string folder, const std::map<std::string, std::shared_ptr<Buffer>>& in_memory);

  // The file at `location`, which must stay inside the model's folder (a symbolic link in there may lead elsewhere, as
  // in model caches). Throws Error(Fail) naming `tensor`.
  std::shared_ptr<Buffer> open(const std::string& location, const std::string& tensor);

 private:
  std::string folder_;
  const std::map<std::string, std::shared_ptr<Buffer>>& in_memory_;
  std::map<std::string, std::shared_ptr<Buffer>> mapped_;
};

}  // namespace fastort
