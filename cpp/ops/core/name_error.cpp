#include "ops/core/name_error.h"

#include <string>

namespace fastort {

Error name_error(const Error& error, const Graph& graph, const Node& node) {
  const std::string shorter = describe(node), longer = describe(graph, node);
  std::string message = error.what();
  if (message.starts_with(longer)) return error;
  if (message.starts_with(shorter)) {
    message.replace(0, shorter.size(), longer);
  } else if (message.find(" node '") == std::string::npos && message.find(" node (") == std::string::npos) {
    message = longer + ": " + message;
  }
  return Error(error.code(), message);
}

}  // namespace fastort
