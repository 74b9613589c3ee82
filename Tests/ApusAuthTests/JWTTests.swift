import ApusAuth
import ApusCore
import ApusHTTP
import ApusTesting
import Crypto
import CryptoExtras
import FoundationEssentials
import HTTPTypes
import Testing

private struct Member: TokenPrincipal {
    let subject: String
    init(claims: JWT.Claims) throws {
        guard claims.custom["role"] == "member" else { throw AppError(.permissionDenied, "Members only.") }
        subject = claims.subject
    }
}

@Suite struct JWTTests {
    private let clock = ManualClock()
    private let secret = Secret("0123456789abcdef0123456789abcdef")

    private func keys(_ key: JWT.Key? = nil, accepting: [JWT.Key] = [], audience: String = "api") throws -> JWT.KeySet {
        try JWT.KeySet(
            issuer: "apus", audience: audience, signing: key ?? .hs256(id: "a", secret: secret), accepting: accepting,
            clock: clock)
    }

    private func claims(_ lifetime: Double = 60) -> JWT.Claims {
        JWT.Claims(subject: "ada", expiresAt: clock.now.addingTimeInterval(lifetime), custom: ["role": "member"])
    }

    private func refusal(_ keys: JWT.KeySet, _ token: String) async -> AppError? {
        do {
            _ = try await keys.verify(token)
            return nil
        } catch { return error as? AppError }
    }

    private func token(header: String, payload: String, signature: String = "") -> String {
        func encode(_ text: String) -> String {
            Data(text.utf8).base64EncodedString().map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 == "=" ? "" : "\($0)" }
                .joined()
        }
        return "\(encode(header)).\(encode(payload)).\(signature)"
    }

    @Test func `A token of HS256 says what was signed`() async throws {
        let keys = try keys()
        let claims = try await keys.verify(try await keys.sign(claims()))
        #expect(claims.subject == "ada")
        #expect(claims.custom == ["role": "member"])
        #expect(claims.issuer == "apus")
    }

    @Test func `A token of Ed25519 is verified with the public key alone`() async throws {
        let key = Curve25519.Signing.PrivateKey()
        let signing = try keys(.ed25519(id: "e", privatePEM: Secret(key.pemRepresentation)))
        let verifying = try JWT.KeySet(
            issuer: "apus", audience: "api", signing: .hs256(id: "h", secret: secret),
            accepting: [.ed25519(id: "e", publicPEM: key.publicKey.pemRepresentation)], clock: clock)
        #expect(try await verifying.verify(try await signing.sign(claims())).subject == "ada")
    }

    @Test func `A token is valid to its end and the leeway, and not after`() async throws {
        let keys = try keys()
        let token = try await keys.sign(claims(60))
        clock.advance(by: .seconds(89))
        _ = try await keys.verify(token)
        clock.advance(by: .seconds(1))
        let error = await refusal(keys, token)
        #expect(error?.code == .unauthenticated)
        #expect(error?.details.reason == .tokenExpired)
    }

    @Test func `A token that is not valid yet is refused`() async throws {
        let keys = try keys()
        var early = claims(3600)
        early.notBefore = clock.now.addingTimeInterval(60)
        #expect(await refusal(keys, try await keys.sign(early)) != nil)
        clock.advance(by: .seconds(30))
        #expect(await refusal(keys, try await keys.sign(early)) == nil)
    }

    @Test func `A token for someone else, or of another key, is refused`() async throws {
        let ours = try keys()
        #expect(await refusal(ours, try await keys(audience: "other").sign(claims()))?.code == .unauthenticated)
        let other = JWT.Key.hs256(id: "a", secret: Secret(String(repeating: "x", count: 32)))
        #expect(await refusal(ours, try await keys(other).sign(claims()))?.code == .unauthenticated)
        let unknown = JWT.Key.hs256(id: "zz", secret: secret)
        #expect(await refusal(ours, try await keys(unknown).sign(claims()))?.code == .unauthenticated)
    }

    @Test func `A token changed at any character is refused`() async throws {
        let keys = try keys()
        let token = try await keys.sign(claims())
        // The last character of the signature carries bits that base64 ignores.
        for index in token.indices.dropLast() where token[index] != "." {
            var changed = token
            changed.replaceSubrange(index...index, with: token[index] == "A" ? "B" : "A")
            #expect(await refusal(keys, changed)?.code == .unauthenticated)
        }
        for length in stride(from: 0, to: token.count, by: 7) {
            #expect(await refusal(keys, String(token.prefix(length)))?.code == .unauthenticated)
        }
    }

    @Test(arguments: ["none", "HS384", "EdDSA", ""]) func `A token cannot choose its algorithm`(algorithm: String)
        async throws
    {
        let forged = token(
            header: "{\"alg\":\"\(algorithm)\",\"typ\":\"at+jwt\",\"kid\":\"a\"}",
            payload: #"{"sub":"ada","iss":"apus","aud":"api","exp":99999999999}"#)
        #expect(await refusal(try keys(), forged)?.code == .unauthenticated)
    }

    /// A token with this header and payload, and a right signature.
    private func signed(_ header: String, _ payload: String) -> String {
        let text = token(header: header, payload: payload).dropLast()
        let key = SymmetricKey(data: Data(secret.reveal().utf8))
        let mac = HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key)
        let signature = Data(mac).base64EncodedString().replacing(["+": "-", "/": "_", "=": ""])
        return "\(text).\(signature)"
    }

    private static let header = #"{"alg":"HS256","typ":"at+jwt","kid":"a"}"#
    private static let payload = #"{"sub":"ada","iss":"apus","aud":"api","exp":99999999999}"#

    @Test(arguments: [
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a"}"#, true),
        (#"{"alg":"HS256","typ":"application/at+jwt","kid":"a"}"#, true),
        (#"{"alg":"HS256","typ":"AT+JWT","kid":"a"}"#, true),
        (#"{"alg":"HS256","typ":"application/jwt","kid":"a"}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","crit":["exp"],"exp":1}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","crit":["b64"],"b64":true}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","b64":true}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","crit":[]}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","crit":null}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","kid":"a"}"#, false), (#"{"alg":"HS256","kid":"a"}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt"}"#, false), (#"{"alg":"HS256","typ":"at+jwt","kid":"a","x":"unknown"}"#, true),
    ])
    func `A header is an access token's, and has no critical extension`(header: String, isValid: Bool) async throws {
        let refusal = await refusal(try keys(), signed(header, Self.payload))
        #expect((refusal == nil) == isValid, "\(header)")
    }

    @Test(arguments: [
        (#"{"sub":"ada","iss":"apus","aud":"api","exp":99999999999}"#, true),
        (#"{"sub":"ada","iss":"apus","aud":["api"],"exp":99999999999}"#, true),
        (#"{"sub":"ada","iss":"apus","aud":["other","api"],"exp":99999999999}"#, true),
        (#"{"sub":"ada","iss":"apus","aud":["other"],"exp":99999999999}"#, false),
        (#"{"sub":"ada","iss":"apus","aud":[],"exp":99999999999}"#, false),
        (#"{"sub":"ada","iss":"apus","aud":[1],"exp":99999999999}"#, false),
        (#"{"sub":"ada","iss":"apus","exp":99999999999}"#, false),
        (#"{"sub":"ada","iss":"apus","aud":"api"}"#, false),
        (#"{"sub":"ada","sub":"eve","iss":"apus","aud":"api","exp":99999999999}"#, false),
        (
            "{\"sub\":\"ada\",\"iss\":\"apus\",\"aud\":\"api\",\"exp\":99999999999,\"\u{E9}\":\"x\",\"e\u{301}\":\"y\"}",
            false
        ),
        ("{\"sub\":\"ada\",\"iss\":\"apus\",\"aud\":\"ap\u{131}\",\"exp\":99999999999}", false),
    ])
    func `An audience is one or several, and each claim is there once`(payload: String, isValid: Bool) async throws {
        let refusal = await refusal(try keys(), signed(Self.header, payload))
        #expect((refusal == nil) == isValid, "\(payload)")
    }

    @Test func `Two keys of one id stop the start, and the error names it`() throws {
        let retired = JWT.Key.hs256(id: "a", secret: Secret(String(repeating: "r", count: 32)))
        let error = #expect(throws: AppError.self) { try keys(accepting: [retired]) }
        #expect(error?.message.contains("\"a\"") == true)
        _ = try keys(.hs256(id: "\u{E9}", secret: secret), accepting: [.hs256(id: "e\u{301}", secret: secret)])
    }

    @Test func `Another type of token is not an access token`() async throws {
        let forged = token(header: #"{"alg":"HS256","typ":"JWT","kid":"a"}"#, payload: #"{"sub":"ada"}"#)
        #expect(await refusal(try keys(), forged)?.code == .unauthenticated)
    }

    @Test(arguments: ["", ".", "..", "a.b.c", "é.é.é", String(repeating: "a", count: 100_000)])
    func `What is no token is refused`(text: String) async throws {
        #expect(await refusal(try keys(), text)?.code == .unauthenticated)
    }

    @Test func `A key that is too short or malformed is refused when it is given`() {
        #expect(throws: AppError.self) { try keys(.hs256(id: "a", secret: Secret("short"))) }
        #expect(throws: AppError.self) { try keys(.ed25519(id: "a", privatePEM: Secret("no PEM"))) }
        #expect(throws: AppError.self) { try keys(.ed25519(id: "a", publicPEM: "no PEM")) }
    }

    @Test func `An endpoint demands a principal: 401 without a token or with a bad one, 403 for another kind`()
        async throws
    {
        let keys = try keys()
        let routes = Routes()
        routes.get("public") { "anyone" }
        routes.group("members", Authenticated(Member.self)) { $0.get("") { member in member.subject } }
        let router = try Router(routes)
        func ask(_ path: String, _ headers: HTTPFields) async -> Response {
            await chain([BearerAuthentication(keys)]) { await router.respond(to: $0) }(
                Request(method: .get, target: path, headers: RequestHeaders(headers)))
        }
        let good = try await keys.sign(claims())
        var other = claims()
        other.custom = ["role": "guest"]
        let guest = try await keys.sign(other)

        let missing = await ask("/members", [:])
        #expect(missing.status == .unauthorized)
        #expect(missing.headers[.wwwAuthenticate] == "Bearer")
        let bad = await ask("/members", [.authorization: "Bearer x.y.z"])
        #expect(bad.status == .unauthorized)
        #expect(bad.headers[.wwwAuthenticate] == "Bearer error=\"invalid_token\"")
        #expect(await ask("/members", [.authorization: "Bearer \(guest)"]).status == .forbidden)
        #expect(await ask("/members", [.authorization: "bearer \(good)"]).status == .ok)
        #expect(await ask("/members", [.secWebSocketProtocol: "chat, bearer.\(good)"]).status == .ok)
        #expect(await ask("/members", [.authorization: "Basic \(good)"]).status == .unauthorized)
        #expect(await ask("/public", [.authorization: "Bearer x.y.z"]).status == .ok)
    }
}
