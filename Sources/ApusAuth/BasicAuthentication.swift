public import ApusCore
public import ApusHTTP
import ApusJSON
import Crypto
import FoundationEssentials
import HTTPTypes

/// An input that requires the name and the password of one user, for which browsers ask (RFC 7617).
///
/// It suits pages of operators, over TLS. A browser sends the password with every request, also with those of pages of
/// other origins: add ``CrossOriginProtection``. Add `.rateLimit` if the password is one that can be guessed.
public struct BasicAuthentication: RequestInput {
    private let user: String
    private let password: Secret<String>
    private let challenge: String

    /// Creates the input.
    /// - Parameters:
    ///   - user: The name of the user, without a colon.
    ///   - password: The password.
    ///   - realm: What browsers may show when they ask, in printable ASCII.
    public init(user: String, password: Secret<String>, realm: String = "Restricted") {
        precondition(!user.utf8.contains(UInt8(ascii: ":")), "A user name in HTTP Basic authentication has no colon.")
        precondition(
            realm.utf8.allSatisfy {
                (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            },
            "A realm consists of printable ASCII without quotation marks and backslashes.")
        self.user = user
        self.password = password
        challenge = "Basic realm=\"\(realm)\", charset=\"UTF-8\""
    }

    /// - Throws: An `AppError` of code `unauthenticated`.
    public func extract(from request: Request) throws -> BasicUser {
        guard let field = request.headers[.authorization], let (scheme, text) = field.cut(at: " "),
            scheme.asciiLowercased.isExactly("basic")
        else { throw failure("The name and the password of a user are required in the Authorization header field.") }
        guard let data = Data(base64Encoded: String(text.trimmed)) else {
            throw failure("The Authorization header field is malformed: it must be \"Basic\" and Base64.")
        }
        // By their digests: the time shows neither what is wrong nor how long the password is.
        let expected = SHA256.hash(data: Data("\(user):\(password.reveal())".utf8))
        guard constantTimeEqual(Array(SHA256.hash(data: data)), Array(expected)) else {
            throw failure("The name or the password is wrong.")
        }
        let principal = BasicUser(subject: user)
        request.context.principal = principal
        return principal
    }

    private func failure(_ message: String) -> AppError {
        var error = AppError(.unauthenticated, message)
        error.details.metadata["www-authenticate"] = challenge
        return error
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.security = [.init("basic", ["type": "http", "scheme": "basic"])]
        operation.addErrorResponse(.unauthorized, "The name or the password is missing or wrong.")
    }
}

/// The user of ``BasicAuthentication``.
public struct BasicUser: Principal {
    /// The name of the user.
    public let subject: String
}
