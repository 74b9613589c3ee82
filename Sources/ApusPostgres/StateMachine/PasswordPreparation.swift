import Foundation

/// Prepares passwords for SCRAM (SASLprep, RFC 4013), so that the same characters in different encodings are equal.
enum PasswordPreparation {
    /// Returns the prepared password, or the password itself if it contains prohibited characters, as the server does.
    static func prepare(_ password: String) -> String {
        guard password.utf8.contains(where: { $0 >= 0x80 }) else { return password }
        var mapped = String.UnicodeScalarView()
        for scalar in password.unicodeScalars {
            if isMappedToSpace(scalar) {
                mapped.append(" ")
            } else if !isMappedToNothing(scalar) {
                mapped.append(scalar)
            }
        }
        let normalized = String(mapped).precomposedStringWithCompatibilityMapping
        return normalized.unicodeScalars.contains(where: isProhibited) ? password : normalized
    }

    private static func isMappedToSpace(_ scalar: Unicode.Scalar) -> Bool {
        // The zero width space is in both tables. The server looks at that of spaces first.
        scalar.properties.generalCategory == .spaceSeparator || scalar.value == 0x200B
    }

    private static func isMappedToNothing(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xAD, 0x34F, 0x1806, 0x180B...0x180D, 0x200C...0x200D, 0x2060, 0xFE00...0xFE0F, 0xFEFF: true
        default: false
        }
    }

    private static func isProhibited(_ scalar: Unicode.Scalar) -> Bool {
        // RFC 4013 is about Unicode 3.2. What came later, such as most emoji, was not assigned.
        guard let age = scalar.properties.age, age.major < 3 || age.major == 3 && age.minor <= 2 else { return true }
        switch scalar.value {
        case 0x2FF0...0x2FFB, 0xFFFC...0xFFFD: return true
        default: break
        }
        switch scalar.properties.generalCategory {
        case .control, .privateUse, .surrogate, .unassigned, .format, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }
}
