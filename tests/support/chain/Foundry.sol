// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Tokens of devices. What a token stands for is in the log of the foundry, in the same transaction.
contract Titles {
    event Issued(address indexed owner, uint256 id, string name);
    event Transfer(address indexed from, address indexed to, uint256 indexed id);

    uint256 private last;

    function issue(address owner, string calldata name) external {
        last += 1;
        emit Transfer(address(0), owner, last);
        emit Issued(owner, last, name);
    }

    function hand(uint256 id, address to) external {
        emit Transfer(msg.sender, to, id);
    }
}

/// Certificates of a third shape: the token and the address of a device are in two logs.
contract Foundry {
    event Enrolled(address indexed device, address owner, bytes32 document);

    Titles public titles = new Titles();

    function enroll(address[] calldata devices, string[] calldata names) external {
        for (uint256 i = 0; i < devices.length; i++) {
            titles.issue(msg.sender, names[i]);
            emit Enrolled(devices[i], msg.sender, keccak256(bytes(names[i])));
        }
    }
}
