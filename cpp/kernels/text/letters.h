#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fastort::kernels {

enum class LetterCase : uint8_t { Lower, Upper };

// Which letters are pairs: Unicode's own; Turkish and Azerbaijani, whose I pairs with ı and whose İ pairs with i; or
// those of ASCII alone, as in the locale "C".
enum class LetterRules : uint8_t { Unicode, Turkic, Ascii };

// UTF-8 with each character replaced by its other case, where that is one character ("ß" stays). Bytes that are no
// UTF-8 stay as they are.
std::string change_case(std::string_view text, LetterCase to, LetterRules rules);

}  // namespace fastort::kernels
