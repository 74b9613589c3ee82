import ApusCore
import FoundationEssentials
import Testing

@Suite struct SecretTests {
    private struct Account: Decodable {
        let password: Secret<String>
    }

    @Test func `A secret is not revealed by any form of printing and cannot be encoded`() throws {
        let account = Account(password: Secret("hunter2hunter2"))
        var dumped = ""
        dump(account, to: &dumped)
        let texts = ["\(account)", String(reflecting: account), "\(account.password)", dumped]
        #expect(!(account.password as Any is any Encodable))
        for text in texts { #expect(!text.contains("hunter2"), "\(text)") }
        #expect(account.password.reveal() == "hunter2hunter2")
    }

    @Test func `A secret can be decoded`() throws {
        let account = try JSONDecoder().decode(Account.self, from: Data(#"{"password":"x"}"#.utf8))
        #expect(account.password.reveal() == "x")
    }

    @Test func `Constant-time comparison distinguishes equal from different bytes`() {
        #expect(constantTimeEqual([1, 2, 3], [1, 2, 3]))
        #expect(!constantTimeEqual([1, 2, 3], [1, 2, 4]))
        #expect(!constantTimeEqual([1, 2, 3], [1, 2]))
        #expect(constantTimeEqual([UInt8](), [UInt8]()))
    }
}
