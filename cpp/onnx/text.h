#pragma once

#include <string>
#include <string_view>

namespace fastort {

// The text with every byte that is no part of valid UTF-8 replaced by '?': names of a damaged model reach messages and
// Python strings.
std::string clean_utf8(std::string_view text);

}  // namespace fastort
